//! `${NAME}` and `${NAME:-default}` inside values, as in a shell; `$$` is a dollar sign.

/// `text` with its variables replaced, or the accepted form for each fault in it.
///
/// The default counts when the variable is unset or empty, and ends at the first `}`.
pub(super) fn interpolate(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, Vec<String>> {
    let mut replaced = String::with_capacity(text.len());
    let mut refused = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        replaced.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            replaced.push('$');
            rest = after;
            continue;
        }
        let Some((reference, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) else {
            refused.push(FORM.to_owned());
            continue;
        };
        match resolve(reference, environment) {
            Ok(value) => replaced.push_str(&value),
            Err(expected) => refused.push(expected),
        }
        rest = after;
    }
    replaced.push_str(rest);
    if refused.is_empty() { Ok(replaced) } else { Err(refused) }
}

fn resolve(reference: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        return Err(FORM.to_owned());
    }
    match (environment(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!("the environment variable {name} to be set, or a default: ${{{name}:-…}}")),
    }
}

const FORM: &str = "${NAME}, ${NAME:-default}, or $$ for a dollar sign";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &[&str]>) {
        let environment = |name: &str| match name {
            "HOST" => Some("a.example".to_owned()),
            "EMPTY" => Some(String::new()),
            "DOLLAR" => Some("${HOST}".to_owned()),
            _ => None,
        };
        let expected =
            expected.map(str::to_owned).map_err(|list| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        assert_eq!(interpolate(text, &environment), expected, "{text:?}");
    }

    #[test]
    fn variables_are_replaced_where_they_stand() {
        check("https://${HOST}:8443", Ok("https://a.example:8443"));
        check("${HOST}${HOST}", Ok("a.examplea.example"));
        check("no variable", Ok("no variable"));
        check("${EMPTY}", Ok(""));
    }

    #[test]
    fn a_default_counts_when_the_variable_is_unset_or_empty() {
        check("${PORT:-8443}", Ok("8443"));
        check("${EMPTY:-x}", Ok("x"));
        check("${HOST:-x}", Ok("a.example"));
        check("${PORT:-}", Ok(""));
        check("${LISTEN:-[::]:8443}", Ok("[::]:8443"));
    }

    #[test]
    fn two_dollar_signs_are_one() {
        check("$$", Ok("$"));
        check("$${HOST}", Ok("${HOST}"));
    }

    #[test]
    fn a_value_is_not_interpolated_again() {
        check("${DOLLAR}", Ok("${HOST}"));
    }

    #[test]
    fn every_fault_is_reported() {
        check("$HOST", Err(&[FORM]));
        check("${HOST", Err(&[FORM]));
        check("${}", Err(&[FORM]));
        check("${1A}", Err(&[FORM]));
        check("${A B}", Err(&[FORM]));
        check("$", Err(&[FORM]));
        let unset = |name: &str| format!("the environment variable {name} to be set, or a default: ${{{name}:-…}}");
        check("${ONE} ${TWO}", Err(&[&unset("ONE"), &unset("TWO")]));
    }
}
