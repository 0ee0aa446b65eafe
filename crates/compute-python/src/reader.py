import ast
import sys

from compute import op, _missing


@op
def read(input):
    """Which modules a source imports; or, of the plugin, which packages it has."""
    if "packages" in input:
        from importlib.metadata import distributions

        return {found.name: found.version for found in distributions()}
    file, source = input["file"], input["source"]
    try:
        tree = ast.parse(source, file)
        compile(tree, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        return {"message": error.msg, "line": error.lineno or 1, "column": error.offset or 1}
    except (ValueError, RecursionError, MemoryError) as error:
        return {"message": str(error), "line": 1, "column": 1}
    package = file.removesuffix(".py").removesuffix("/__init__").split("/")
    if not file.endswith("/__init__.py"):
        package = package[:-1]
    names, tops, memory = set(), set(), None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
            tops.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join(above + ([node.module] if node.module else []))
            if base:
                names.add(base)
            if not node.level:
                tops.add(base.split(".")[0])
            names.update(".".join(filter(None, [base, alias.name])) for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            if getattr(node.func, "id", getattr(node.func, "attr", None)) == "op":
                for keyword in node.keywords:
                    if keyword.arg == "memory":
                        memory = str(keyword.value.value) if isinstance(keyword.value, ast.Constant) else "…"
    # What is in the standard library is that, whatever the op's own modules are called.
    imports = sorted(name for name in names if name.split(".")[0] not in sys.stdlib_module_names)
    return {"imports": imports, "missing": sorted(_missing(tops)), "memory": memory}
