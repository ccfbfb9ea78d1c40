//! The parser of expressions: a descent over sums, products and powers.

use std::fmt;

use autoresearch_core::internal::metric::is_unit;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Plus,
    Minus,
    Times,
    Over,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Log,
    Log2,
    Log10,
    Exp,
    Sqrt,
    Abs,
    Min,
    Max,
}

const FUNCTIONS: [(&str, Function); 9] = [
    ("log", Function::Log),
    ("ln", Function::Log),
    ("log2", Function::Log2),
    ("log10", Function::Log10),
    ("exp", Function::Exp),
    ("sqrt", Function::Sqrt),
    ("abs", Function::Abs),
    ("min", Function::Min),
    ("max", Function::Max),
];

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// A number, with its unit.
    Number(f64, String),
    /// A metric.
    Name(String),
    Negative(Box<Expression>),
    Pair(Operator, Box<Expression>, Box<Expression>),
    Call(Function, Vec<Expression>),
}

/// Units that may stand behind the slash of a number's unit.
const BELOW: [&str; 8] = ["s", "sec", "second", "iter", "op", "step", "epoch", "sample"];

/// The deepest nesting: a text of brackets alone must not end the process.
const DEEPEST: usize = 100;

/// Parses a text. The error continues a key's name.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let expression = parser.sum()?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => Err(format!("has `{}`, where an operator or the end is expected", parser.rest().trim_start())),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn take(&mut self, c: char) -> bool {
        let is_next = self.peek() == Some(c);
        if is_next {
            self.at += c.len_utf8();
        }
        is_next
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn sum(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("is nested too deeply".into());
        }
        let mut left = self.product()?;
        loop {
            let operator = match self.peek() {
                Some('+') => Operator::Plus,
                Some('-' | '\u{2212}') => Operator::Minus,
                _ => break,
            };
            self.at += self.peek().map_or(0, char::len_utf8);
            left = Expression::Pair(operator, Box::new(left), Box::new(self.product()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.signed()?;
        loop {
            let operator = match self.peek() {
                Some('*') => Operator::Times,
                Some('/') => Operator::Over,
                _ => return Ok(left),
            };
            self.at += 1;
            left = Expression::Pair(operator, Box::new(left), Box::new(self.signed()?));
        }
    }

    fn signed(&mut self) -> Result<Expression, String> {
        let mut negative = false;
        while let Some(sign @ ('-' | '+' | '\u{2212}')) = self.peek() {
            negative ^= sign != '+';
            self.at += sign.len_utf8();
        }
        let power = self.power()?;
        Ok(if negative { Expression::Negative(Box::new(power)) } else { power })
    }

    fn power(&mut self) -> Result<Expression, String> {
        let base = self.atom()?;
        if !self.take('^') {
            return Ok(base);
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("is nested too deeply".into());
        }
        // The exponent binds to the right: 2^3^2 is 2^9.
        let exponent = self.signed()?;
        self.depth -= 1;
        Ok(Expression::Pair(Operator::Power, Box::new(base), Box::new(exponent)))
    }

    fn atom(&mut self) -> Result<Expression, String> {
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let inner = self.sum()?;
                self.close()?;
                Ok(inner)
            }
            Some('`') => {
                let inside = &self.rest()[1..];
                let end = inside.find('`').ok_or("has a name in backticks that does not end")?;
                self.at += end + 2;
                Ok(Expression::Name(inside[..end].to_owned()))
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => {
                let word = self.word();
                if !self.take('(') {
                    return Ok(Expression::Name(word.to_owned()));
                }
                let known = FUNCTIONS.iter().find(|(name, _)| *name == word);
                let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
                let (_, function) =
                    known.ok_or_else(|| format!("calls `{word}`; functions are {}", names.join(", ")))?;
                let mut arguments = vec![self.sum()?];
                while self.take(',') {
                    arguments.push(self.sum()?);
                }
                self.close()?;
                Ok(Expression::Call(*function, arguments))
            }
            Some(c) => Err(format!("has `{c}`, where a number, a name or a bracket is expected")),
            None => Err("ends where a number, a name or a bracket is expected".into()),
        }
    }

    fn close(&mut self) -> Result<(), String> {
        if self.take(')') { Ok(()) } else { Err("has a bracket without its `)`".into()) }
    }

    fn number(&mut self) -> Result<Expression, String> {
        let rest = self.rest();
        let mut end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        if let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) {
            let sign = usize::from(exponent.starts_with(['+', '-']));
            let digits = exponent[sign..].bytes().take_while(u8::is_ascii_digit).count();
            end += if digits > 0 { 1 + sign + digits } else { 0 };
        }
        let value = rest[..end].parse().map_err(|_| format!("has `{}`, which is no number", &rest[..end]))?;
        self.at += end;
        let before = self.at;
        let unit = self.unit();
        if unit.is_empty() {
            self.at = before;
        }
        Ok(Expression::Number(value, unit))
    }

    /// The unit behind a number: `ms`, `tok/s`, `%`. A slash belongs to it where a unit follows at once.
    fn unit(&mut self) -> String {
        if self.take('%') {
            return "%".into();
        }
        let Some(first) = self.peek() else { return String::new() };
        if !first.is_alphabetic() {
            return String::new();
        }
        let unit = self.word();
        let rate = self.rest().strip_prefix('/').and_then(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            // Anything else behind a slash is a metric.
            BELOW.contains(&&rest[..end]).then(|| &rest[..end])
        });
        if let Some(below) = rate {
            self.at += 1 + below.len();
            return format!("{unit}/{below}");
        }
        if is_unit(unit) { unit.to_owned() } else { String::new() }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FUNCTIONS.iter().find(|(_, function)| function == self).map_or("", |(name, _)| name))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Number(value, unit) => write!(f, "{value}{unit}"),
            Expression::Name(name) => f.write_str(name),
            Expression::Negative(inner) => write!(f, "-{inner}"),
            Expression::Pair(operator, left, right) => {
                let sign = match operator {
                    Operator::Plus => " + ",
                    Operator::Minus => " - ",
                    Operator::Times => "*",
                    Operator::Over => "/",
                    Operator::Power => "^",
                };
                let is_sum = |side: &Expression| {
                    matches!(side, Expression::Pair(Operator::Plus | Operator::Minus, ..)) && !sign.starts_with(' ')
                };
                let side = |side: &Expression| if is_sum(side) { format!("({side})") } else { side.to_string() };
                write!(f, "{}{sign}{}", side(left), side(right))
            }
            Expression::Call(function, arguments) => {
                let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
                write!(f, "{function}({})", arguments.join(", "))
            }
        }
    }
}
