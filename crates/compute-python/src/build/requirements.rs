//! What a `requirements.txt` may say here. pip is never given the author's own file, in which some lines have it run somebody's code, but
//! one that is written of what was understood.

/// The options that are taken, for people.
pub(super) const OPTIONS: &str = "-r, -c, --index-url, --extra-index-url, --find-links, --trusted-host, --no-index and --pre, one a line";

/// What is named: lines for pip, and its options.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) packages: Vec<String>,
    pub(super) constraints: Vec<String>,
    pub(super) options: Vec<String>,
}

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A package by its name, with a version, extras, a marker, hashes.
    Package(String),
    /// Another file, by its name.
    Requirements(String),
    Constraints(String),
    /// An option as one word.
    Option(String),
    /// An option about a folder, and the folder.
    Folder(&'static str, String),
}

/// The lines of a file that say something, joined where a backslash has them go on, each with its number.
pub(super) fn lines(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let line = if is_comment { "" } else { line.split(" #").next().unwrap_or_default() };
        let (line, more) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match found.last_mut() {
            Some((_, before)) if goes_on => before.push_str(line),
            _ => found.push((number + 1, line.to_owned())),
        }
        goes_on = more;
    }
    let found = found.into_iter().map(|(number, line)| (number, line.trim().to_owned()));
    found.filter(|(_, line)| !line.is_empty()).collect()
}

impl Line {
    /// Reads a line; nothing if it is not understood.
    pub(super) fn read(line: &str) -> Option<Self> {
        if !line.starts_with('-') {
            return Self::of_package(line).map(Self::Package);
        }
        let (option, value) = match line.split_once(['=', ' ', '\t']) {
            Some((option, value)) => (option, value.trim()),
            // As pip takes them: `-rFILE`.
            None if line.len() > 2 && !line.starts_with("--") && line.is_char_boundary(2) => {
                line.split_at(2)
            }
            None => (line, ""),
        };
        // One option, and one value without anything that pip would read as more.
        let is_odd = |letter: char| letter.is_whitespace() || "$\\'\"".contains(letter);
        let is_plain = !value.is_empty() && !value.starts_with('-') && !value.contains(is_odd);
        let value = value.to_owned();
        Some(match option {
            "--no-index" | "--pre" if value.is_empty() => Self::Option(option.to_owned()),
            _ if !is_plain => return None,
            "-r" | "--requirement" => Self::Requirements(value),
            "-c" | "--constraint" => Self::Constraints(value),
            "-f" | "--find-links" if value.contains("://") => {
                Self::Option(format!("--find-links={value}"))
            }
            "-f" | "--find-links" => Self::Folder("--find-links", value),
            "-i" | "--index-url" => Self::Option(format!("--index-url={value}")),
            "--extra-index-url" | "--trusted-host" => Self::Option(format!("{option}={value}")),
            _ => return None,
        })
    }

    /// A package by its name; nothing if it is something else, such as a folder or an address.
    pub(super) fn of_package(line: &str) -> Option<String> {
        let (what, hashes) = match line.find(" --hash") {
            Some(at) => line.split_at(at),
            None => (line, ""),
        };
        let (named, marker) = what.split_once(';').unwrap_or((what, ""));
        let is = |text: &str, more: &str| {
            text.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
        };
        let is_hash = |hash: &str| {
            let hash = hash.strip_prefix("--hash=");
            hash.is_some_and(|hash| is(hash, ":"))
        };
        let fits = named.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && is(named, "-_.[]=<>!~,*+() \t")
            && is(marker, "-_.=<>!~,*+() \t'\"")
            // What follows a space would be an option to pip.
            && !what.contains(" -")
            && !what.contains("\t-")
            && hashes.split_whitespace().all(is_hash);
        fits.then(|| line.to_owned())
    }
}

/// A package's name as names of packages are compared.
pub(super) fn normal(name: &str) -> String {
    let mut normal = String::new();
    for letter in name.chars() {
        match letter {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            letter => normal.extend(letter.to_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::{Line, lines};

    #[test]
    fn packages_by_their_names_are_taken_and_nothing_that_runs_code() {
        for line in [
            "python-slugify==8.0.4",
            "requests[socks,security] >=2, <3",
            "a~=1.4; python_version >= '3.13' and sys_platform == \"wasi\"",
            "b==1.0+local --hash=sha256:0123abcd --hash=sha256:4567",
            "c (>=1)",
            "d===1.*",
        ] {
            assert_eq!(Line::read(line), Some(Line::Package(line.to_owned())), "{line}");
        }
        for line in [
            "-e .",
            "-e.",
            "--editable .",
            "--editabl ./own",
            "./own",
            "own/",
            "/own",
            "~/own",
            "${PWD}",
            "own @ https://x.org/own.zip",
            "git+https://x.org/own",
            "file:own",
            "own.zip/..",
            "..",
            "--no-binary=:all:",
            "--no-binary own",
            "--find-links a -e ./own",
            "--pre --requirement b.txt",
            "--pre x",
            "-r",
            "-r $X",
            "c:own",
            "own\\it",
            "own -e ./it",
            "own\t--no-binary=own",
            "own --config-settings=x",
            "--global-option=x",
            "--index-url http://x --pre",
        ] {
            assert_eq!(Line::read(line), None, "{line}");
        }
        for line in ["-rb.txt", "--requirement=b.txt", "-r\tb.txt", "-r b.txt"] {
            assert_eq!(Line::read(line), Some(Line::Requirements("b.txt".to_owned())), "{line}");
        }
        let joined = lines("# a\n\na==1 \\\n  --hash=sha256:1 # b\n-\\\ne ./own\n");
        let joined: Vec<_> = joined.iter().map(|(number, line)| (*number, line.as_str())).collect();
        assert_eq!(joined, [(3, "a==1   --hash=sha256:1"), (5, "-e ./own")]);
    }
}
