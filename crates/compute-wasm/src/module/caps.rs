//! How much a module may be made of.

/// What a module may be made of. A module beyond a cap is refused before the costly compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// The module, in bytes.
    pub bytes: u64,
    /// Functions.
    pub functions: u64,
    /// Bytes of one function.
    pub function_bytes: u64,
    /// Locals of one function.
    pub function_locals: u64,
    /// Locals of all functions together.
    pub locals: u64,
    /// How deep blocks of one function are nested.
    pub nesting: u64,
    /// How deep loops of one function are nested.
    pub loop_nesting: u64,
    /// The same, times the function's locals and parameters.
    pub loop_locals: u64,
    /// The same of all functions together.
    pub all_loop_locals: u64,
    /// Blocks and branches of one function, those of a table each.
    pub branches: u64,
    /// The same of all functions together.
    pub all_branches: u64,
    /// The same of one function, times its locals and parameters.
    pub branch_locals: u64,
    /// The same of all functions together.
    pub all_branch_locals: u64,
    /// Types, those of recursive groups each.
    pub types: u64,
    /// Parameters and results of one type.
    pub parameters: u64,
    /// Imports.
    pub imports: u64,
    /// Exports.
    pub exports: u64,
    /// Globals.
    pub globals: u64,
    /// Data segments, and likewise element segments.
    pub segments: u64,
    /// Tables.
    pub tables: u64,
    /// Elements that a table starts with.
    pub table_minimum: u64,
    /// Bytes that the memory starts with.
    pub memory_minimum: u64,
}

impl Caps {
    /// The caps that hold for every module; [`compute::EngineConfig::memory`] sets the last.
    ///
    /// Cranelift compiles about 12,000 functions a second on one core; the largest real modules
    /// (language runtimes) have about 30,000, and their longest functions some 4,000 locals. Go's linker
    /// writes up to 100,000 data segments.
    ///
    /// What compiling takes does not go by size. These were measured on modules of npm, on one core, beside
    /// what modules made for it reach:
    ///
    /// | in one function | esbuild (Go) | Ruby 3.4 | Pyodide | PHP | cap | as slow as it gets within the cap |
    /// |---|---|---|---|---|---|---|
    /// | nesting | 3,289 | 616 | 325 | 888 | 10,000 | 1.6 s |
    /// | loop nesting | 1 | 8 | 10 | 11 | 100 | 0.4 s (1,000: 1.8 s; 2,000: 10 s) |
    /// | loop nesting × locals | 20 | 510 | 732 | 1,210 | 10,000 | 0.4 s (20,000: 1.4 s) |
    /// | blocks and branches | 11,007 | 6,680 | 17,489 | 13,208 | 50,000 | 5 s (360,000: 36 s) |
    /// | the same × locals | 154,098 | 1,099,390 | 168,072 | 184,912 | 2,000,000 | 5 s (5,000,000: 10 s) |
    ///
    /// | in all functions | esbuild (Go) | Ruby 3.4 | Pyodide | PHP | cap |
    /// |---|---|---|---|---|---|
    /// | loop nesting × locals | 27,009 | 53,130 | 69,429 | 42,486 | 500,000 |
    /// | blocks and branches | 605,820 | 630,550 | 297,731 | 572,840 | 2,000,000 |
    /// | the same × locals | 6,052,093 | 8,799,693 | 4,123,840 | 5,432,541 | 40,000,000 |
    ///
    /// Within them a hostile module may still take a minute; [`crate::CompileLimits`] ends that.
    pub const DEFAULT: Self = Self {
        bytes: 32 << 20,
        functions: 50_000,
        function_bytes: 2 << 20,
        function_locals: 20_000,
        locals: 2_000_000,
        nesting: 10_000,
        loop_nesting: 100,
        loop_locals: 10_000,
        all_loop_locals: 500_000,
        branches: 50_000,
        all_branches: 2_000_000,
        branch_locals: 2_000_000,
        all_branch_locals: 40_000_000,
        types: 10_000,
        parameters: 1_000,
        imports: 1_000,
        exports: 10_000,
        globals: 10_000,
        segments: 100_000,
        tables: 4,
        table_minimum: 100_000,
        memory_minimum: 1 << 30,
    };

    /// The caps of plugins that the operator vouches for. CPython 3.15 with the libraries that it is built with has 90,000
    /// functions in 85 MB, and as many again of files; in all functions 12 million blocks and branches times locals.
    pub const ADMITTED: Self = Self {
        bytes: 512 << 20,
        functions: 500_000,
        function_bytes: 16 << 20,
        function_locals: 50_000,
        locals: 50_000_000,
        nesting: 50_000,
        loop_nesting: 1_000,
        loop_locals: 1_000_000,
        all_loop_locals: 50_000_000,
        branches: 500_000,
        all_branches: 50_000_000,
        branch_locals: 500_000_000,
        all_branch_locals: 5_000_000_000,
        ..Self::DEFAULT
    };
}
