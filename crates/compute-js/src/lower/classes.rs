//! Classes with decorators or `accessor`, as classes without: decorators are called by `decorators.js`.
//!
//! A decorated element's key becomes a call that tells of it and gives the key, so that decorators are evaluated where they stand;
//! the class's first static block applies them; a field's value goes through what they returned. Lines stay as they are.

use oxc::ast::ast::{
    AccessorProperty, BindingPattern, Class, ClassElement, Declaration, Decorator,
    ExportDeclaration, ExportDefaultDeclaration, ExportDefaultDeclarationKind, Expression,
    MethodDefinition, MethodDefinitionKind, Program, PropertyDefinition, PropertyKey, Statement,
    VariableDeclarator,
};
use oxc::ast_visit::{Visit, walk};
use oxc::span::{GetSpan as _, Span};

use super::{DECORATORS, Edits, Legacy};

const METHOD: u8 = 0;
const GETTER: u8 = 1;
const SETTER: u8 = 2;
const FIELD: u8 = 3;
const ACCESSOR: u8 = 4;

/// Where a class stands, which decides how it is named from outside.
enum Place {
    Expression,
    Statement,
    /// After `export`, which begins there.
    Exported(u32),
    /// After `export default`, which begins there.
    Default(u32),
}

pub(super) fn lower(
    program: &Program<'_>,
    code: &str,
    legacy: Option<Legacy>,
    edits: &mut Edits<'_>,
) -> Result<(), String> {
    let prefix =
        (0..).map(|number| format!("$decorated{number}")).find(|name| !code.contains(name));
    let mut classes = Classes {
        code,
        legacy: legacy.is_some(),
        legacy_statics: legacy.is_some_and(|legacy| legacy.assigns_fields),
        hint: None,
        prefix: prefix.unwrap_or_default(),
        count: 0,
        calls: false,
        failure: None,
        edits,
    };
    classes.visit_program(program);
    if classes.calls {
        let name = &classes.prefix;
        let import = format!("\n;import {{ decorated as {name} }} from \"{DECORATORS}\";\n");
        classes.edits.insert(program.span.end, import);
    }
    classes.failure.map_or(Ok(()), Err)
}

struct Classes<'e, 'a> {
    code: &'e str,
    /// Whether decorators are left to the bundler, which lowers those of the time before the standard's.
    legacy: bool,
    legacy_statics: bool,
    /// The name of the variable that a class without a name is given to.
    hint: Option<String>,
    prefix: String,
    count: usize,
    calls: bool,
    failure: Option<String>,
    edits: &'e mut Edits<'a>,
}

impl<'a> Visit<'a> for Classes<'_, '_> {
    fn visit_statement(&mut self, statement: &Statement<'a>) {
        match statement {
            Statement::ClassDeclaration(class) => self.class(class, &Place::Statement),
            _ => walk::walk_statement(self, statement),
        }
    }

    fn visit_export_declaration(&mut self, export: &ExportDeclaration<'a>) {
        match &export.declaration {
            Declaration::ClassDeclaration(class) => {
                self.class(class, &Place::Exported(export.span.start));
            }
            _ => walk::walk_export_declaration(self, export),
        }
    }

    fn visit_export_default_declaration(&mut self, export: &ExportDefaultDeclaration<'a>) {
        match &export.declaration {
            ExportDefaultDeclarationKind::ClassDeclaration(class) => {
                self.class(class, &Place::Default(export.span.start));
            }
            _ => walk::walk_export_default_declaration(self, export),
        }
    }

    fn visit_variable_declarator(&mut self, variable: &VariableDeclarator<'a>) {
        if let (BindingPattern::BindingIdentifier(name), Some(Expression::ClassExpression(_))) =
            (&variable.id, &variable.init)
        {
            self.hint = Some(name.name.to_string());
        }
        walk::walk_variable_declarator(self, variable);
    }

    fn visit_class(&mut self, class: &Class<'a>) {
        self.class(class, &Place::Expression);
    }
}

/// Whether an element has decorators, or is an accessor.
fn is_lowered(element: &ClassElement<'_>, legacy: bool) -> bool {
    match element {
        ClassElement::MethodDefinition(method) => !legacy && !method.decorators.is_empty(),
        ClassElement::PropertyDefinition(field) => !legacy && !field.decorators.is_empty(),
        ClassElement::AccessorProperty(accessor) => !accessor.r#type.is_abstract(),
        ClassElement::StaticBlock(_) | ClassElement::TSIndexSignature(_) => false,
    }
}

impl Classes<'_, '_> {
    fn class(&mut self, class: &Class<'_>, place: &Place) {
        let hint = self.hint.take();
        if self.legacy_statics {
            self.legacy_statics(class);
        }
        let is_decorated = !self.legacy && !class.decorators.is_empty();
        let elements = &class.body.body;
        if class.declare
            || !(is_decorated || elements.iter().any(|one| is_lowered(one, self.legacy)))
        {
            walk::walk_class(self, class);
            return;
        }
        self.count += 1;
        let name = format!("{}_{}", self.prefix, self.count);
        // Elements first, then what is around them: what is inserted at one place comes in that order.
        let body_start = class.body.span.start + 1;
        let mut told = Told::default();
        for (number, element) in elements.iter().enumerate() {
            if is_lowered(element, self.legacy) {
                self.element(element, number, &name, &mut told);
            }
        }
        let is_told = is_decorated || told.any;
        if is_told {
            self.calls = true;
            told.hint = hint;
            self.around(class, place, is_decorated, &name, body_start, &told);
        }
        walk::walk_class(self, class);
    }

    /// What stands before a class's body, at its beginning, and behind it.
    fn around(
        &mut self,
        class: &Class<'_>,
        place: &Place,
        is_decorated: bool,
        name: &str,
        body_start: u32,
        told: &Told,
    ) {
        let own = if is_decorated { self.take(&class.decorators) } else { String::new() };
        let start = format!("{}({own})", self.prefix);
        let outer = class.id.as_ref().map(|id| id.name.as_str());
        let known = outer.map(|name| format!("{name:?}"));
        let known = match (place, known) {
            (_, Some(known)) => known,
            (Place::Default(_), None) => "\"default\"".to_owned(),
            _ => told
                .hint
                .as_ref()
                .map_or_else(|| "undefined".to_owned(), |name| format!("{name:?}")),
        };
        let is_replaced = is_decorated && !matches!(place, Place::Expression);
        let outer = outer.map_or_else(|| format!("{name}_class"), str::to_owned);
        let assign = if is_replaced { format!(" {outer} = {name}.made;") } else { String::new() };
        let mut begin =
            format!(" static {{ {}{name}.apply(this, {known});{assign} }}", told.privates);
        if told.instances {
            begin = format!("{begin} #{}_before = {name}.before(this);", &name[1..]);
        }
        self.edits.insert(body_start, begin);
        let class_start =
            class.span.start.max(class.decorators.last().map_or(0, |last| last.span.end));
        // Before the name, or the body: a comment may stand before it that says `class`, too.
        let after = class.id.as_ref().map_or(class.body.span.start, |id| id.span.start);
        let keyword = self.keyword(class_start, after, class.id.is_some());
        match place {
            Place::Expression if is_decorated => {
                self.edits.insert(keyword, format!("(({name}) => ("));
                let end = format!(", {name}.after(), {name}.made))({start})");
                self.edits.insert(class.span.end, end);
            }
            Place::Expression => {
                self.edits.insert(keyword, format!("(({name}) => "));
                self.edits.insert(class.span.end, format!(")({start})"));
            }
            Place::Statement | Place::Exported(_) | Place::Default(_) if is_decorated => {
                let begin = match place {
                    Place::Exported(at) | Place::Default(at) => *at,
                    _ => {
                        keyword.min(class.decorators.first().map_or(keyword, |one| one.span.start))
                    }
                };
                let begin = begin.min(class.decorators.first().map_or(begin, |one| one.span.start));
                let export = if matches!(place, Place::Exported(_)) { "export " } else { "" };
                // `export`, `default` and `abstract` go; decorators went already.
                self.remove_words(begin, keyword);
                let head = format!("{export}let {outer}; {outer} = (({name}) => (");
                self.edits.insert(keyword, head);
                if let Some(id) = &class.id {
                    self.edits.remove(id.span);
                }
                let tail = if matches!(place, Place::Default(_)) {
                    format!(" export {{ {outer} as default }};")
                } else {
                    String::new()
                };
                let end = format!(", {name}.after(), {name}.made))({start});{tail}");
                self.edits.insert(class.span.end, end);
            }
            Place::Statement => {
                self.edits.insert(class.span.start, format!("const {name} = {start}; "))
            }
            Place::Exported(at) | Place::Default(at) => {
                self.edits.insert(*at, format!("const {name} = {start}; "));
            }
        }
    }

    /// Calls the decorators of static fields, which the bundler forgets where fields are assigned.
    fn legacy_statics(&mut self, class: &Class<'_>) {
        let mut calls = String::new();
        for element in &class.body.body {
            let ClassElement::PropertyDefinition(field) = element else { continue };
            if !field.r#static || field.decorators.is_empty() {
                continue;
            }
            let key = self.key_text(&field.key, field.computed);
            for decorator in field.decorators.iter().rev() {
                let span = decorator.expression.span();
                let text = &self.code[span.start as usize..span.end as usize];
                calls.push_str(&format!(" ({})(this, {key});", text.replace('\n', " ")));
            }
        }
        if !calls.is_empty() {
            self.edits.insert(class.body.span.end - 1, format!(" static {{{calls} }}"));
        }
    }

    /// Where the word `class` is.
    fn keyword(&self, from: u32, to: u32, is_named: bool) -> u32 {
        let text = &self.code[from as usize..to as usize];
        // Without a name, what it extends stands between, which may be a class.
        let found = if is_named { text.rfind("class") } else { text.find("class") };
        let at = found.unwrap_or(0);
        from + u32::try_from(at).unwrap_or(0)
    }

    /// Takes away words, and leaves white space and comments' lines.
    fn remove_words(&mut self, from: u32, to: u32) {
        let text = &self.code[from as usize..to as usize];
        for word in ["export", "default", "abstract"] {
            if let Some(at) = text.find(word) {
                let start = from + u32::try_from(at).unwrap_or(0);
                let end = start + u32::try_from(word.len()).unwrap_or(0);
                self.edits.remove(Span::new(start, end));
            }
        }
    }

    /// What decorators say, which is taken from where they stand.
    fn take(&mut self, decorators: &[Decorator<'_>]) -> String {
        let mut texts = Vec::new();
        for decorator in decorators {
            let span = decorator.expression.span();
            texts.push(self.code[span.start as usize..span.end as usize].replace('\n', " "));
            // Lines stay.
            let whole = &self.code[decorator.span.start as usize..decorator.span.end as usize];
            let lines = "\n".repeat(whole.matches('\n').count());
            self.edits.replace(decorator.span, lines);
        }
        texts.join(", ")
    }

    fn element(&mut self, element: &ClassElement<'_>, number: usize, name: &str, told: &mut Told) {
        match element {
            ClassElement::MethodDefinition(method) => self.method(method, number, name, told),
            ClassElement::PropertyDefinition(field) => self.field(field, number, name, told),
            ClassElement::AccessorProperty(accessor) => {
                self.accessor(accessor, number, name, told);
            }
            ClassElement::StaticBlock(_) | ClassElement::TSIndexSignature(_) => {}
        }
    }

    fn method(
        &mut self,
        method: &MethodDefinition<'_>,
        number: usize,
        name: &str,
        told: &mut Told,
    ) {
        let code = match method.kind {
            MethodDefinitionKind::Get => GETTER,
            MethodDefinitionKind::Set => SETTER,
            _ => METHOD,
        };
        if let PropertyKey::PrivateIdentifier(key) = &method.key {
            self.failure.get_or_insert(format!(
                "a decorator of the private method #{} cannot be lowered: decorate a method that is not private",
                key.name
            ));
            return;
        }
        let decorators = self.take(&method.decorators);
        told.tell(method.r#static);
        let key = Key { number, code, is_static: method.r#static, decorators };
        let span = self.key_span(method.key.span(), method.computed);
        let text = self.key_text(&method.key, method.computed);
        self.edits.replace(span, key.call(name, &text));
    }

    fn field(
        &mut self,
        field: &PropertyDefinition<'_>,
        number: usize,
        name: &str,
        told: &mut Told,
    ) {
        let decorators = self.take(&field.decorators);
        told.tell(field.r#static);
        let key = Key { number, code: FIELD, is_static: field.r#static, decorators };
        if let PropertyKey::PrivateIdentifier(own) = &field.key {
            told.privates.push_str(&key.private(name, &own.name, ""));
        } else {
            let span = self.key_span(field.key.span(), field.computed);
            let text = self.key_text(&field.key, field.computed);
            self.edits.replace(span, key.call(name, &text));
        }
        match &field.value {
            Some(value) => {
                self.edits.insert(value.span().start, format!("{name}.field({number}, this, "));
                self.edits.insert(value.span().end, ")");
            }
            None => self
                .edits
                .insert(self.end_of(field.span), format!(" = {name}.field({number}, this)")),
        }
        self.edits.insert(self.end_of(field.span), extra(name, number, field.r#static));
    }

    fn accessor(
        &mut self,
        accessor: &AccessorProperty<'_>,
        number: usize,
        name: &str,
        told: &mut Told,
    ) {
        let is_static = accessor.r#static;
        let is_decorated = !self.legacy && !accessor.decorators.is_empty();
        let decorators = if is_decorated { self.take(&accessor.decorators) } else { String::new() };
        let word = if is_static { "static " } else { "" };
        let storage = format!("#{}_{number}", &name[1..]);
        let key_span = self.key_span(accessor.key.span(), accessor.computed);
        let text = self.key_text(&accessor.key, accessor.computed);
        let key = Key { number, code: ACCESSOR, is_static, decorators };
        let (mut get, mut set) =
            (format!("return this.{storage};"), format!("this.{storage} = value;"));
        let (getter, setter) = if let PropertyKey::PrivateIdentifier(own) = &accessor.key {
            if is_decorated {
                told.tell(is_static);
                let descriptor = format!(", {{ get() {{ {get} }}, set(value) {{ {set} }} }}");
                told.privates.push_str(&key.private(name, &own.name, &descriptor));
                (get, set) = (
                    format!("return {name}.get({number}, this);"),
                    format!("{name}.set({number}, this, value);"),
                );
            }
            (format!("#{}", own.name), format!("#{}", own.name))
        } else if is_decorated || accessor.computed {
            if is_decorated {
                told.tell(is_static);
            }
            told.any = true;
            let key = if is_decorated { key } else { Key { code: u8::MAX, ..key } };
            (key.call(name, &text), format!("[{name}.keys[{number}]]"))
        } else {
            let plain = &self.code[key_span.start as usize..key_span.end as usize];
            (plain.to_owned(), plain.to_owned())
        };
        // From after the decorators to the value: modifiers, the key and its type go.
        let begin = accessor.decorators.last().map_or(accessor.span.start, |last| last.span.end);
        let end = self.end_of(accessor.span);
        let pair =
            format!("; {word}get {getter}() {{ {get} }} {word}set {setter}(value) {{ {set} }}");
        let field = format!("{name}.field({number}, this");
        match &accessor.value {
            Some(value) => {
                let opening = if is_decorated { format!("{field}, ") } else { String::new() };
                self.edits.replace(
                    Span::new(begin, value.span().start),
                    format!(" {word}{storage} = {opening}"),
                );
                if is_decorated {
                    self.edits.insert(value.span().end, ")");
                }
            }
            None => {
                let value = if is_decorated { format!(" = {field})") } else { String::new() };
                self.edits.replace(Span::new(begin, end), format!(" {word}{storage}{value}"));
            }
        }
        self.edits.insert(end, pair);
        if is_decorated {
            self.edits.insert(end, extra(name, number, is_static));
        }
    }

    /// A key with the brackets of one that is computed.
    fn key_span(&self, key: Span, computed: bool) -> Span {
        if !computed {
            return key;
        }
        let before = self.code[..key.start as usize].rfind('[').unwrap_or(key.start as usize);
        let after = self.code[key.end as usize..].find(']').map_or(0, |at| at + 1);
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Span::new(number(before), key.end + number(after))
    }

    /// A key as an expression.
    fn key_text(&self, key: &PropertyKey<'_>, computed: bool) -> String {
        let span = key.span();
        let text = &self.code[span.start as usize..span.end as usize];
        match key {
            PropertyKey::StaticIdentifier(name) if !computed => format!("{:?}", name.name.as_str()),
            _ => text.to_owned(),
        }
    }

    /// Where an element ends, before its semicolon.
    fn end_of(&self, element: Span) -> u32 {
        let text = &self.code[element.start as usize..element.end as usize];
        let without = text.trim_end().trim_end_matches(';').trim_end().len();
        element.start + u32::try_from(without).unwrap_or(0)
    }
}

/// What the class's first static block and its instances need to know.
#[derive(Default)]
struct Told {
    any: bool,
    instances: bool,
    privates: String,
    hint: Option<String>,
}

impl Told {
    fn tell(&mut self, is_static: bool) {
        self.any = true;
        self.instances |= !is_static;
    }
}

struct Key {
    number: usize,
    code: u8,
    is_static: bool,
    decorators: String,
}

impl Key {
    /// A computed key that tells of its element.
    fn call(&self, name: &str, text: &str) -> String {
        let Self { number, code, is_static, decorators } = self;
        let code = if *code == u8::MAX { -1 } else { i32::from(*code) };
        format!("[{name}.key({number}, {code}, {is_static}, [{decorators}], {text})]")
    }

    /// What tells of an element with a private name.
    fn private(&self, name: &str, own: &str, descriptor: &str) -> String {
        let Self { number, code, is_static, decorators } = self;
        format!(
            "{name}.private({number}, {code}, {is_static}, [{decorators}], \"#{own}\", {{ has: (it) => #{own} in it, get: (it) => it.#{own}, set: (it, value) => {{ it.#{own} = value; }} }}{descriptor}); "
        )
    }
}

/// What runs once a field has its value.
fn extra(name: &str, number: usize, is_static: bool) -> String {
    if is_static {
        format!("; static {{ {name}.extra({number}, this); }}")
    } else {
        format!("; #{}_after{number} = {name}.extra({number}, this)", &name[1..])
    }
}
