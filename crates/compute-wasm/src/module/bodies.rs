//! Looks at functions before they are compiled, for what makes Cranelift slow.
//!
//! Cranelift gives each loop a parameter for each local that is used in it, and passes all of them on each way
//! into the loop; and it keeps what each local is in each block. So its time and memory go with the product of
//! locals and loops that are nested, and of locals and blocks, and with more than that where both are large. Each
//! target of a table gets a block of its own where values are passed to it. What real modules have of this, and
//! what takes how long, stands at [`Caps::DEFAULT`].

use wasmparser::{BlockType, FunctionBody, Operator, Parser, Payload};

use super::caps::Caps;
use super::refusal::Refusal;
use super::shape::{Shape, malformed};

/// Refuses functions that are nested too deep, or have too many places where many locals meet.
pub(crate) fn check_bodies(wasm: &[u8], caps: &Caps) -> Result<(), Refusal> {
    let shape = Shape::read(wasm, caps)?;
    let mut all = Work::default();
    let mut number = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload.map_err(malformed)? {
            let work = work(&shape, number, &body)?;
            let in_function = |what: &str| format!("{what} in function {number}");
            at_most(|| in_function("levels of nested blocks"), work.nesting, caps.nesting)?;
            at_most(|| in_function("levels of nested loops"), work.loops, caps.loop_nesting)?;
            let what = || in_function("locals times levels of nested loops");
            at_most(what, work.loop_locals, caps.loop_locals)?;
            at_most(|| in_function("blocks and branches"), work.branches, caps.branches)?;
            let what = || in_function("locals times blocks and branches");
            at_most(what, work.branch_locals, caps.branch_locals)?;
            all.loop_locals = all.loop_locals.saturating_add(work.loop_locals);
            all.branches = all.branches.saturating_add(work.branches);
            all.branch_locals = all.branch_locals.saturating_add(work.branch_locals);
            number += 1;
        }
    }
    let what = || "locals times levels of nested loops in all functions".into();
    at_most(what, all.loop_locals, caps.all_loop_locals)?;
    at_most(|| "blocks and branches in all functions".into(), all.branches, caps.all_branches)?;
    let what = || "locals times blocks and branches in all functions".into();
    at_most(what, all.branch_locals, caps.all_branch_locals)
}

/// What a function has of what is slow.
#[derive(Debug, Default)]
struct Work {
    nesting: u64,
    /// How deep loops are nested.
    loops: u64,
    loop_locals: u64,
    branches: u64,
    branch_locals: u64,
}

/// A block that is open.
struct Block {
    is_loop: bool,
    /// What a loop takes from the stack.
    parameters: u64,
    /// What a branch to it carries.
    carried: u64,
}

fn work(shape: &Shape, number: usize, body: &FunctionBody<'_>) -> Result<Work, Refusal> {
    let mut locals = shape.parameters(shape.imported_functions() + number) as u64;
    let mut reader = body.get_locals_reader().map_err(malformed)?;
    for _ in 0..reader.get_count() {
        locals = locals.saturating_add(u64::from(reader.read().map_err(malformed)?.0));
    }
    let mut work = Work::default();
    let mut open = Vec::new();
    // Open loops, what they take from the stack together, and places where ways meet or part.
    let (mut loops, mut parameters, mut places, mut carried) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut operators = body.get_operators_reader().map_err(malformed)?;
    while !operators.eof() {
        let (ty, is_loop) = match operators.read().map_err(malformed)? {
            Operator::Block { blockty } | Operator::If { blockty } => (blockty, false),
            Operator::TryTable { try_table } => (try_table.ty, false),
            Operator::Loop { blockty } => (blockty, true),
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                places += 1;
                carried = carried.saturating_add(carried_to(&open, relative_depth));
                continue;
            }
            Operator::BrTable { targets } => {
                for target in targets.targets() {
                    let target = target.map_err(malformed)?;
                    places += 1;
                    carried = carried.saturating_add(carried_to(&open, target));
                }
                continue;
            }
            Operator::End => {
                if let Some(Block { is_loop: true, parameters: own, .. }) = open.pop() {
                    loops -= 1;
                    parameters -= own;
                }
                continue;
            }
            _ => continue,
        };
        let (takes, gives) = arity(shape, ty);
        places += 1;
        carried = carried.saturating_add(takes + gives);
        let own = if is_loop { takes } else { 0 };
        open.push(Block { is_loop, parameters: own, carried: if is_loop { takes } else { gives } });
        work.nesting = work.nesting.max(open.len() as u64);
        if is_loop {
            loops += 1;
            parameters = parameters.saturating_add(own);
            work.loops = work.loops.max(loops);
            let now = locals.saturating_mul(loops).saturating_add(parameters);
            work.loop_locals = work.loop_locals.max(now);
        }
    }
    work.branches = places;
    work.branch_locals = locals.saturating_mul(places).saturating_add(carried);
    Ok(work)
}

fn carried_to(open: &[Block], depth: u32) -> u64 {
    let block = open.len().checked_sub(1 + depth as usize).and_then(|at| open.get(at));
    block.map_or(0, |block| block.carried)
}

/// How many values a block takes from the stack, and how many it leaves there.
fn arity(shape: &Shape, ty: BlockType) -> (u64, u64) {
    match ty {
        BlockType::Empty => (0, 0),
        BlockType::Type(_) => (0, 1),
        BlockType::FuncType(index) => shape.arity(index),
    }
}

fn at_most(what: impl FnOnce() -> String, count: u64, cap: u64) -> Result<(), Refusal> {
    if count > cap {
        return Err(Refusal::AboveCap { what: what(), count, cap });
    }
    Ok(())
}
