//! The parameters that a kernel's source declares, and the arguments that fit them.

use tch::{Kind, Tensor};

use super::argument::Argument;

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    /// A tensor; of no kind in particular where it is `T`.
    Global(Option<Kind>),
    Long,
    Int,
    Float,
}

/// A value as the kernel reads it: a pointer and a count, or a number in the first bytes.
pub(super) type Value = [u64; 2];

/// The parameters of a kernel, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature(Vec<(String, Parameter)>);

impl Signature {
    /// That of the function `name` in `source`.
    pub(super) fn of(name: &str, source: &str) -> Result<Signature, String> {
        let missing = || format!("its source has no `KERNEL {name}(...)`");
        // The name as a word of its own after the macro, however much space there is.
        let declared = |rest: &&str| {
            let rest = rest.trim_start().strip_prefix(name).map(str::trim_start);
            rest.is_some_and(|rest| rest.starts_with('('))
        };
        let rest = source.split("KERNEL").skip(1).find(declared).ok_or_else(missing)?;
        let (_, rest) = rest.split_once('(').ok_or_else(missing)?;
        let (inside, _) = rest.split_once(')').ok_or_else(missing)?;
        let parameters = inside.split(',').map(str::trim).filter(|text| !text.is_empty());
        parameters.map(parameter).collect::<Result<_, _>>().map(Signature)
    }

    /// The arguments as the kernel reads them, and the kind that `T` is; bf16 where no parameter is a `T`.
    pub(super) fn values(&self, arguments: &[Argument<'_>]) -> Result<(Kind, Vec<Value>), String> {
        if arguments.len() != self.0.len() {
            return Err(format!("it has {} parameters and is given {} arguments", self.0.len(), arguments.len()));
        }
        let mut element = None;
        let value = |((name, parameter), argument): (&(String, Parameter), &Argument<'_>)| match (parameter, argument) {
            (Parameter::Global(_), Argument::Missing) => Ok([0, 0]),
            (Parameter::Global(kind), Argument::Tensor(tensor)) => {
                let wanted = kind.unwrap_or_else(|| *element.get_or_insert(tensor.kind()));
                of_tensor(tensor, wanted).map_err(|why| format!("{name} {why}"))
            }
            (Parameter::Long, Argument::Int(number)) => Ok([number.cast_unsigned(), 0]),
            (Parameter::Int, Argument::Int(number)) => {
                let number = i32::try_from(*number).map_err(|_| format!("{name} is {number}, too large for an int"))?;
                Ok([u64::from(number.cast_unsigned()), 0])
            }
            (Parameter::Float, Argument::Float(number)) => Ok([u64::from((*number as f32).to_bits()), 0]),
            (wanted, given) => Err(format!("{name} is declared as {wanted:?} and given as {given:?}")),
        };
        let values = self.0.iter().zip(arguments).map(value).collect::<Result<Vec<Value>, String>>()?;
        Ok((element.unwrap_or(Kind::BFloat16), values))
    }
}

fn parameter(text: &str) -> Result<(String, Parameter), String> {
    let (kind, name) = text.rsplit_once(|c: char| c.is_whitespace() || c == '>').unwrap_or((text, ""));
    let parameter = match kind.split_once('<') {
        Some((global, element)) if global.trim() == "Global" => {
            match element.trim_end_matches('>').trim().trim_start_matches("const ").trim() {
                "T" => Parameter::Global(None),
                "float" => Parameter::Global(Some(Kind::Float)),
                "bf16" => Parameter::Global(Some(Kind::BFloat16)),
                "i64" => Parameter::Global(Some(Kind::Int64)),
                _ => return Err(unknown(text)),
            }
        }
        None if kind.trim() == "i64" => Parameter::Long,
        None if kind.trim() == "int" => Parameter::Int,
        None if kind.trim() == "float" => Parameter::Float,
        _ => return Err(unknown(text)),
    };
    Ok((name.to_owned(), parameter))
}

fn unknown(text: &str) -> String {
    format!(
        "its parameter `{text}` has an unsupported type; use Global<const K>, Global<K> (K is T, float, bf16 or i64), i64, int or float"
    )
}

fn of_tensor(tensor: &Tensor, kind: Kind) -> Result<Value, String> {
    if tensor.kind() != kind {
        return Err(format!("must be of kind {kind:?} and is {:?}", tensor.kind()));
    }
    if !tensor.is_contiguous() {
        return Err(format!("must lie side by side in memory, and has strides {:?}", tensor.stride()));
    }
    Ok([tensor.data_ptr() as u64, tensor.numel() as u64])
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    const SOURCE: &str = "DEVICE float f(float x) { return x; }\nKERNEL scaled(int n) {}\nKERNEL  scale(Global<const T> x,\n \
                          Global<float> y, Global<const i64>at, i64 n,int lanes, float by) { }";

    #[test]
    fn parameters_are_read_from_the_source() {
        let of = |name| Signature::of(name, SOURCE);
        let named = |name: &str, parameter| (name.to_owned(), parameter);
        let expected = vec![
            named("x", Parameter::Global(None)),
            named("y", Parameter::Global(Some(Kind::Float))),
            named("at", Parameter::Global(Some(Kind::Int64))),
            named("n", Parameter::Long),
            named("lanes", Parameter::Int),
            named("by", Parameter::Float),
        ];
        assert_eq!(of("scale"), Ok(Signature(expected)));
        assert_eq!(of("scaled"), Ok(Signature(vec![named("n", Parameter::Int)])));
        assert_eq!(of("sca").unwrap_err(), "its source has no `KERNEL sca(...)`");
        let odd = Signature::of("f", "KERNEL f(double* x) {}").unwrap_err();
        assert!(odd.contains("`double* x`"), "{odd}");
    }

    #[test]
    fn arguments_must_be_what_is_declared() {
        let signature = Signature::of("scale", SOURCE).unwrap();
        let zeros = |kind| Tensor::zeros([2, 3], (kind, Device::Cpu));
        let (x, y, at) = (zeros(Kind::BFloat16), zeros(Kind::Float), zeros(Kind::Int64));
        let numbers = [Argument::Int(-1), Argument::Int(32), Argument::Float(0.5)];
        let with = |tensors: [Argument<'_>; 3]| signature.values(&[&tensors[..], &numbers[..]].concat());
        let (kind, values) = with([(&x).into(), (&y).into(), Argument::Missing]).unwrap();
        assert_eq!((kind, values[0]), (Kind::BFloat16, [x.data_ptr() as u64, 6]));
        assert_eq!(values[2..], [[0, 0], [u64::MAX, 0], [32, 0], [0x3f00_0000, 0]]);
        let said = |tensors: [Argument<'_>; 3]| with(tensors).unwrap_err();
        assert_eq!(said([(&x).into(), (&x).into(), (&at).into()]), "y must be of kind Float and is BFloat16");
        let turned = x.tr();
        assert!(said([(&turned).into(), (&y).into(), (&at).into()]).contains("x must lie side by side"));
        assert!(said([Argument::Int(1), (&y).into(), (&at).into()]).contains("x is declared as Global"));
        assert!(signature.values(&numbers).unwrap_err().contains("6 parameters and is given 3"));
    }
}
