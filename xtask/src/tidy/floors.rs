//! Floors: the modules that stand side by side in a crate, lowest first, and the circles that keep them from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::modules::{Import, ModulePath, Modules};

/// What stands side by side below one module: which imports which. What is below one of them counts as it.
type Siblings<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>;

/// A crate's imports, by the module below which both sides stand.
pub(crate) struct Floors<'a> {
    modules: &'a Modules,
    siblings: BTreeMap<ModulePath, Siblings<'a>>,
}

impl<'a> Floors<'a> {
    pub(crate) fn new(modules: &'a Modules, imports: &'a [Import]) -> Self {
        let mut siblings: BTreeMap<ModulePath, Siblings<'a>> = BTreeMap::new();
        for path in modules.all.keys() {
            if let Some((name, parent)) = path.split_last() {
                siblings.entry(parent.to_vec()).or_default().entry(name).or_default();
            }
        }
        for import in imports {
            let same = import.from.iter().zip(&import.to).take_while(|(a, b)| a == b).count();
            let (from, to) = (&import.from[same], &import.to[same]);
            let beside = siblings.entry(import.from[..same].to_vec()).or_default();
            beside.entry(from).or_default().entry(to).or_insert(import);
        }
        Self { modules, siblings }
    }

    /// Each circle, told by one import of each step.
    pub(crate) fn circles(&self) -> Vec<String> {
        let circle = |siblings: &Siblings<'a>| {
            let (_, rest) = layers(siblings);
            (!rest.is_empty()).then(|| self.tell(siblings, &shortest(siblings, &rest)))
        };
        self.siblings.values().filter_map(circle).collect()
    }

    fn tell(&self, siblings: &Siblings<'a>, circle: &[&'a str]) -> String {
        let mut text = format!("a circle of modules: {}", circle.join(" → "));
        for step in circle.windows(2) {
            if let Some(import) = siblings.get(step[0]).and_then(|uses| uses.get(step[1])) {
                let place = self.place(import);
                let _ = write!(text, "\n    {place} imports {}", import.to.join("::"));
            }
        }
        text
    }

    fn place(&self, import: &Import) -> String {
        let file = self.modules.all.get(&import.from).map(|module| module.file.as_path());
        let file = file.and_then(|file| file.strip_prefix(crate::root()).ok().or(Some(file)));
        format!(
            "{}:{}",
            file.map(|file| file.display().to_string()).unwrap_or_default(),
            import.line
        )
    }

    /// What imports upward, where the modules of the root stand in this order, or stands in no place of it.
    pub(crate) fn against(&self, order: &[String]) -> Vec<String> {
        let Some(top) = self.siblings.get(&Vec::new()) else { return Vec::new() };
        let floor = |name: &str| order.iter().position(|one| one == name);
        let mut wrong = Vec::new();
        for (from, uses) in top {
            let Some(here) = floor(from) else {
                wrong.push(format!("the module {from} stands on no floor"));
                continue;
            };
            let upward = uses.iter().filter(|(to, _)| floor(to).is_none_or(|there| there > here));
            wrong.extend(upward.map(|(to, import)| {
                format!("{from} imports {to}, which is above it: {}", self.place(import))
            }));
        }
        let gone = order.iter().filter(|name| !top.contains_key(name.as_str()));
        wrong.extend(gone.map(|name| format!("there is no module {name}")));
        wrong
    }

    /// The modules, a line each, by floor: what a floor imports is below it.
    pub(crate) fn print(&self) -> String {
        let mut text = String::new();
        for (parent, siblings) in &self.siblings {
            if !parent.is_empty() {
                let _ = writeln!(text, "  in {}", parent.join("/"));
            }
            let (layers, _) = layers(siblings);
            for (number, names) in layers.iter().enumerate() {
                for name in names {
                    let uses: Vec<_> = siblings[name].keys().copied().collect();
                    let arrow = if uses.is_empty() { "" } else { " → " };
                    let _ = writeln!(text, "    {number}  {name}{arrow}{}", uses.join(", "));
                }
            }
        }
        text
    }
}

/// Layer by layer what imports only what is in the layers below, and what is left: that is in circles, or above one.
fn layers<'a>(siblings: &Siblings<'a>) -> (Vec<Vec<&'a str>>, BTreeSet<&'a str>) {
    let mut left: BTreeSet<&'a str> = siblings.keys().copied().collect();
    let mut layers = Vec::new();
    loop {
        let free = |name: &&&'a str| siblings[**name].keys().all(|used| !left.contains(used));
        let layer: Vec<_> = left.iter().filter(free).copied().collect();
        if layer.is_empty() {
            return (layers, left);
        }
        left.retain(|name| !layer.contains(name));
        layers.push(layer);
    }
}

/// The shortest circle among these, its first module at both ends.
fn shortest<'a>(siblings: &Siblings<'a>, among: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let from = |start: &'a str| {
        let mut ways = vec![vec![start]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                let last = way[way.len() - 1];
                for next in siblings[last].keys().copied().filter(|next| among.contains(next)) {
                    let way = way.iter().copied().chain([next]).collect::<Vec<_>>();
                    if next == start {
                        return Some(way);
                    }
                    if seen.insert(next) {
                        longer.push(way);
                    }
                }
            }
            ways = longer;
        }
        None
    };
    among.iter().copied().filter_map(from).min_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::modules::Modules;
    use super::Floors;

    fn floors_of<T>(files: &[(&str, &str)], look: impl FnOnce(&Floors<'_>) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let modules = Modules::read(&folder.path().join("lib.rs")).unwrap();
        let imports = modules.imports();
        look(&Floors::new(&modules, &imports))
    }

    #[test]
    fn a_circle_is_found_through_names_that_are_passed_on_and_paths_in_code() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; pub use c::Third;"),
            ("a.rs", "use crate::b::Second; pub(crate) struct First;"),
            ("b.rs", "mod deep; pub(crate) use deep::Second;"),
            ("b/deep.rs", "pub(crate) struct Second; fn f() { let _ = crate::Third::new(); }"),
            ("c.rs", "use super::a; pub struct Third; fn f() -> a::First { todo!() }"),
        ];
        floors_of(&files, |floors| {
            let circles = floors.circles();
            assert_eq!(circles.len(), 1, "{circles:?}");
            assert!(circles[0].contains("a → b → c → a"), "{}", circles[0]);
            assert!(circles[0].contains("deep.rs:1 imports c"), "{}", circles[0]);
        });
    }

    #[test]
    fn a_parent_and_its_child_are_no_circle_and_tests_do_not_count() {
        let files = [
            ("lib.rs", "mod a; mod b; const NAME: &str = \"\";"),
            (
                "a.rs",
                "mod deep; use deep::Inner; struct Outer; #[cfg(test)] mod tests { use crate::b::B; }",
            ),
            ("a/deep.rs", "use super::Outer; use crate::NAME; pub(super) struct Inner;"),
            ("b.rs", "use crate::a; struct B; fn f() { a::f() }"),
        ];
        floors_of(&files, |floors| {
            assert_eq!(floors.circles(), Vec::<String>::new());
            let order = ["a", "b"].map(str::to_owned);
            assert_eq!(floors.against(&order), Vec::<String>::new());
            let wrong = floors.against(&["b", "a"].map(str::to_owned));
            assert!(wrong[0].contains("b imports a, which is above it"), "{wrong:?}");
            assert!(floors.print().contains("1  b → a"), "{}", floors.print());
        });
    }
}
