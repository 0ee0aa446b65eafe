//! What is printed is read again as what it was, and no text makes the parser fall over.

use proptest::prelude::*;
use txcl::{
    Assignment, Clause, ClauseKind, Comparator, Comparison, Condition, Expr, Literal, Operand,
    Path, Rule, Select, Selection, Span, Spanned,
};

fn at<T>(node: T) -> Spanned<T> {
    Spanned::new(node, Span::default())
}

fn path() -> impl Strategy<Value = Path> {
    let segment = prop_oneof![3 => "[a-z_][a-z0-9_-]{0,6}", 1 => "[0-9]{1,3}", 1 => "\\PC{0,6}"];
    // Only those after the first are quoted.
    let own = ("[a-z_][a-z0-9_-]{0,6}", prop::collection::vec(segment, 0..3));
    let path = |(first, rest): (String, Vec<String>)| {
        Path::new([first].into_iter().chain(rest).collect()).unwrap()
    };
    prop_oneof![
        4 => own.prop_map(path),
        1 => "[a-z]{1,6}".prop_map(|name| Path::new(vec!["_txc".into(), name]).unwrap()),
    ]
}

fn scalar() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<bool>().prop_map(Literal::Bool),
        any::<i64>().prop_map(|n| Literal::Number(n.into())),
        (-1e20..1e20f64).prop_map(|n| Literal::Number(serde_json::Number::from_f64(n).unwrap())),
        "\\PC{0,12}".prop_map(Literal::String),
        any::<String>().prop_map(Literal::String),
        "[a-z\"\\\\]{0,8}".prop_map(Literal::Base64),
    ]
}

fn literal() -> impl Strategy<Value = Literal> {
    scalar().prop_recursive(3, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Literal::List)
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![literal().prop_map(Expr::Literal), path().prop_map(Expr::Path)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::vec(inner, 1..4).prop_map(|arguments| {
            let function = txcl::functions().iter().find(|one| one.name == "concat").unwrap();
            let arguments = arguments.into_iter().map(at).collect();
            Expr::Call(txcl::Call { function, arguments })
        })
    })
}

fn comparison() -> impl Strategy<Value = Condition> {
    let equal = prop_oneof![Just(Comparator::Equal), Just(Comparator::NotEqual)];
    let order = prop_oneof![
        Just(Comparator::Less),
        Just(Comparator::LessOrEqual),
        Just(Comparator::Greater),
        Just(Comparator::GreaterOrEqual)
    ];
    let matches = prop_oneof![Just(Comparator::Matches), Just(Comparator::MatchesNot)];
    let value = prop_oneof![Just(Expr::Literal(Literal::Null)), literal().prop_map(Expr::Literal),];
    let number = any::<i64>().prop_map(|n| Expr::Literal(Literal::Number(n.into())));
    let operand = prop_oneof![
        (equal, value).prop_map(|(how, value)| (how, Operand::Expr(value))),
        (order, number).prop_map(|(how, value)| (how, Operand::Expr(value))),
        (matches, "[a-z/.*+^$ #\"]{0,8}").prop_map(|(how, it)| (how, Operand::Regex(it))),
    ];
    (path(), operand).prop_map(|(path, (comparator, operand))| {
        Condition::Compare(Comparison {
            path: at(path),
            comparator: at(comparator),
            operand: at(operand),
        })
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    comparison().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::Any),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::All),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

fn assignments(path: impl Strategy<Value = Path>) -> impl Strategy<Value = Vec<Assignment>> {
    prop::collection::vec(
        (path, expr()).prop_map(|(path, value)| Assignment { path: at(path), value: at(value) }),
        1..4,
    )
}

fn selection() -> impl Strategy<Value = Selection> {
    (path(), prop::option::of(path()), prop::option::of(expr())).prop_map(
        |(source, destination, default)| Selection {
            source: at(source),
            destination: destination.map(at),
            default: default.map(at),
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    let when = prop::option::of(prop_oneof![1 => Just(Condition::Always), 4 => condition()]);
    let select = prop::option::of(prop_oneof![
        1 => Just(Select::All),
        3 => prop::collection::vec(selection(), 1..4).prop_map(Select::Parts)
    ]);
    let key = "[a-d]{1,3}".prop_map(|key| Path::new(vec![format!("k{key}")]).unwrap());
    let with = prop::option::of(assignments(key).prop_map(|mut items| {
        items.truncate(1);
        items
    }));
    (
        when,
        select,
        prop::option::of(assignments(path())),
        prop::option::of(assignments(path())),
        with,
        prop::option::of(any::<i64>()),
        prop::option::of("[a-z_-]{1,9}"),
    )
        .prop_map(|(when, select, set, emit, with, priority, exec)| {
            let kinds = [
                when.map(ClauseKind::When),
                priority.map(ClauseKind::Priority),
                set.map(ClauseKind::Set),
                select.map(ClauseKind::Select),
                with.map(ClauseKind::With),
                exec.map(|name| ClauseKind::Exec(at(format!("op://{name}")))),
                emit.map(ClauseKind::Emit),
            ];
            let clause = |kind| Clause { kind, keyword: Span::default(), span: Span::default() };
            Rule { clauses: kinds.into_iter().flatten().map(clause).collect() }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn printed_and_parsed_is_the_same_rule(rule in rule()) {
        let text = rule.to_string();
        let parsed = txcl::parse(&text);
        prop_assert!(parsed.is_ok(), "{text}\n{:?}", parsed.diagnostics);
        prop_assert_eq!(&parsed.rule, &rule, "{}", text);
    }

    #[test]
    fn formatting_keeps_the_rule_and_settles(rule in rule()) {
        let text = rule.to_string();
        let formatted = txcl::format(&text).unwrap();
        prop_assert_eq!(&txcl::parse(&formatted).rule, &rule);
        prop_assert_eq!(txcl::format(&formatted).unwrap(), formatted);
    }

    #[test]
    fn any_text_is_parsed_or_told(text in "(\\PC|[\\n\"\\\\/.@&#=!~(),\\[\\]]|WHEN |SET |EMIT |SELECT |WITH |EXEC |PRIORITY |\\.a |== |= |=~ ){0,40}") {
        let parsed = txcl::parse(&text);
        for diagnostic in &parsed.diagnostics {
            prop_assert!(diagnostic.span.start <= diagnostic.span.end);
            prop_assert!(diagnostic.span.end <= text.len());
            prop_assert!(diagnostic.render("rule.txcl", &text, false).contains("rule.txcl"));
        }
        if parsed.is_ok() {
            let formatted = txcl::format(&text).unwrap();
            prop_assert_eq!(&txcl::parse(&formatted).rule, &parsed.rule);
        }
    }
}
