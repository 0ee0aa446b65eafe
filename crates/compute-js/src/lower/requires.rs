//! What a file cannot do without: the modules that it requires as soon as it is loaded, and not in a function that may never be
//! called, a branch, or a `try`.

use oxc::ast::ast::{
    ArrowFunctionExpression, CallExpression, Class, ConditionalExpression, Expression, Function,
    IfStatement, LogicalExpression, Program, SwitchStatement, TryStatement,
};
use oxc::ast_visit::{Visit, walk};
use oxc::syntax::scope::ScopeFlags;

use crate::node::Names;

/// Whether a text may require something.
pub(super) fn may_require(code: &str) -> bool {
    code.contains("require(")
}

/// The modules that a file requires when it is loaded, by the names that it has for them.
pub(super) fn needed(program: &Program<'_>) -> Names {
    let mut requires = Requires::default();
    requires.visit_program(program);
    requires.names
}

#[derive(Default)]
struct Requires {
    names: Names,
}

impl<'a> Visit<'a> for Requires {
    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        if let Some(name) = call.common_js_require() {
            let span = name.span.start as usize..name.span.end as usize;
            self.names.entry(name.value.to_string()).or_insert(span);
        }
        // A function that is called where it is written.
        match call.callee.get_inner_expression() {
            Expression::FunctionExpression(function) => {
                walk::walk_function(self, function, ScopeFlags::Function);
            }
            Expression::ArrowFunctionExpression(function) => {
                walk::walk_arrow_function_expression(self, function);
            }
            _ => walk::walk_expression(self, &call.callee),
        }
        self.visit_arguments(&call.arguments);
    }

    fn visit_function(&mut self, _: &Function<'a>, _: ScopeFlags) {}
    fn visit_arrow_function_expression(&mut self, _: &ArrowFunctionExpression<'a>) {}
    fn visit_class(&mut self, _: &Class<'a>) {}
    fn visit_try_statement(&mut self, _: &TryStatement<'a>) {}
    fn visit_switch_statement(&mut self, _: &SwitchStatement<'a>) {}

    fn visit_if_statement(&mut self, branch: &IfStatement<'a>) {
        self.visit_expression(&branch.test);
    }

    fn visit_conditional_expression(&mut self, branch: &ConditionalExpression<'a>) {
        self.visit_expression(&branch.test);
    }

    fn visit_logical_expression(&mut self, branch: &LogicalExpression<'a>) {
        self.visit_expression(&branch.left);
    }
}
