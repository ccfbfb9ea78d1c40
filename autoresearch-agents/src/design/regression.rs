//! Weighted least squares over columns that may depend on each other.

/// Share of a column's length below which its rest counts as zero, so that the column depends on those before it.
const DEPENDENT: f64 = 1e-8;

/// A fit by least squares.
///
/// Columns are used in their order: one that depends on those before it is left out, and its share goes to
/// them (the alias matrix of Box and Wilson, "On the Experimental Attainment of Optimum Conditions", JRSS B 1951).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// Place of each column among those in the fit.
    place: Vec<Option<usize>>,
    /// Coefficients of each left-out column by the columns in the fit.
    parts: Vec<Vec<f64>>,
    coefficients: Vec<f64>,
    /// Inverse of the triangular factor.
    inverse: Vec<Vec<f64>>,
    /// Weighted residual sum of squares and its degrees of freedom.
    pub residual: (f64, usize),
}

impl Fit {
    /// Fits `scores` by `columns`, each with one entry for each score. The weight of a score is its number of measurements.
    pub fn new(columns: &[Vec<f64>], scores: &[f64], weights: &[f64]) -> Fit {
        let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
        let weigh = |column: &[f64]| -> Vec<f64> { column.iter().zip(&roots).map(|(x, root)| x * root).collect() };
        // Orthonormal columns, and the triangle that makes those in the fit of them.
        let (mut basis, mut triangle): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
        let (mut place, mut dependent) = (Vec::new(), Vec::new());
        for column in columns {
            let whole = weigh(column);
            let (shares, rest) = project(&basis, whole.clone());
            let (length, left) = (dot(&whole, &whole).sqrt(), dot(&rest, &rest).sqrt());
            if left > DEPENDENT * length.max(f64::MIN_POSITIVE) {
                place.push(Some(basis.len()));
                basis.push(rest.iter().map(|x| x / left).collect());
                triangle.push(shares.into_iter().chain([left]).collect());
                dependent.push(None);
            } else {
                place.push(None);
                dependent.push(Some(shares));
            }
        }
        let inverse = invert(&triangle);
        let solve = |shares: &[f64]| -> Vec<f64> { inverse.iter().map(|row| dot(row, shares)).collect() };
        let (shares, rest) = project(&basis, weigh(scores));
        let parts = dependent.into_iter().map(|shares| {
            let mut shares = shares.unwrap_or_default();
            shares.resize(basis.len(), 0.0);
            solve(&shares)
        });
        Fit {
            place,
            parts: parts.collect(),
            coefficients: solve(&shares),
            residual: (dot(&rest, &rest), scores.len() - basis.len()),
            inverse,
        }
    }

    /// Returns the sum of columns' coefficients times these factors, and its variance for measurements of variance 1. `None` if one of
    /// the columns is not in the fit.
    pub fn contrast(&self, factors: &[(usize, f64)]) -> Option<(f64, f64)> {
        let mut all = vec![0.0; self.coefficients.len()];
        for (column, factor) in factors.iter().filter(|(_, factor)| *factor != 0.0) {
            *all.get_mut((*self.place.get(*column)?)?)? += factor;
        }
        let spread =
            (0..all.len()).map(|k| self.inverse.iter().zip(&all).map(|(row, factor)| row[k] * factor).sum::<f64>());
        Some((dot(&all, &self.coefficients), spread.map(|x| x * x).sum()))
    }

    /// Returns the part of the left-out column `other` that goes to `column`.
    pub fn alias(&self, column: usize, other: usize) -> Option<f64> {
        let at = (*self.place.get(column)?)?;
        let none = self.place.get(other)?.is_none();
        self.parts.get(other)?.get(at).copied().filter(|part| none && part.abs() > 1e-6)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns the shares of an orthonormal basis in a column, and its rest. It projects twice, since rounding leaves a little.
fn project(basis: &[Vec<f64>], mut column: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let mut shares = vec![0.0; basis.len()];
    for _ in 0..2 {
        for (direction, all) in basis.iter().zip(&mut shares) {
            let share = dot(direction, &column);
            column.iter_mut().zip(direction).for_each(|(x, d)| *x -= share * d);
            *all += share;
        }
    }
    (shares, column)
}

/// Returns the inverse, by rows, of an upper triangle given by its columns.
fn invert(triangle: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let size = triangle.len();
    let mut inverse = vec![vec![0.0; size]; size];
    for column in 0..size {
        inverse[column][column] = 1.0 / triangle[column][column];
        for row in (0..column).rev() {
            let sum: f64 = (row + 1..=column).map(|k| triangle[k][row] * inverse[k][column]).sum();
            inverse[row][column] = -sum / triangle[row][row];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line through (0, 1), (1, 3) and twice (2, 4), by the formulas of every textbook.
    #[test]
    fn a_line_is_fitted_with_its_error() {
        let columns = [vec![1.0; 3], vec![0.0, 1.0, 2.0]];
        let fit = Fit::new(&columns, &[1.0, 3.0, 4.0], &[1.0, 1.0, 2.0]);
        // x̄ = 5/4, ȳ = 3, Sxx = 11/4, Sxy = 4: slope 16/11, its variance 4/11.
        let (slope, variance) = fit.contrast(&[(1, 1.0)]).unwrap();
        assert!((slope - 16.0 / 11.0).abs() < 1e-12 && (variance - 4.0 / 11.0).abs() < 1e-12, "{slope} {variance}");
        // Syy − Sxy² / Sxx = 6 − 64/11.
        assert!((fit.residual.0 - 2.0 / 11.0).abs() < 1e-12 && fit.residual.1 == 1);
    }

    #[test]
    fn a_column_that_depends_on_others_goes_to_them() {
        let (one, x) = (vec![1.0; 4], vec![0.0, 1.0, 2.0, 5.0]);
        let both: Vec<f64> = x.iter().map(|x| 3.0 - 2.0 * x).collect();
        let fit = Fit::new(&[one, x, both, vec![0.0; 4]], &[1.0, 2.0, 3.0, 6.0], &[1.0; 4]);
        assert!(fit.contrast(&[(2, 1.0)]).is_none() && fit.contrast(&[(3, 1.0)]).is_none());
        assert!((fit.alias(0, 2).unwrap() - 3.0).abs() < 1e-9 && (fit.alias(1, 2).unwrap() + 2.0).abs() < 1e-9);
        assert_eq!(fit.alias(1, 3), None);
        assert!((fit.contrast(&[(1, 1.0)]).unwrap().0 - 1.0).abs() < 1e-12);
    }
}
