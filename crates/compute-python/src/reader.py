import ast
import sys

from compute import op, _missing


def packages():
    from importlib.metadata import distributions

    # What of matplotlib is data is not where it looks for it, so it cannot be imported.
    return {found.name: found.version for found in distributions() if found.name != "matplotlib"}


def fits(line, has):
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        named = Requirement(line.split(" #")[0].split(" --")[0].strip())
    except InvalidRequirement:
        # What is none of a package, pip tells.
        return True
    has = {canonicalize_name(name): version for name, version in has.items()}.get(canonicalize_name(named.name))
    if has is None or (named.marker is not None and not named.marker.evaluate()):
        return True
    return named.specifier.contains(has, prereleases=True)


@op
def read(input):
    """Which modules a source imports; or, of the plugin, which packages it has; or which lines of requirements some packages don't fit."""
    if "packages" in input:
        return packages()
    if "requirements" in input:
        return [line for line in input["requirements"] if not fits(line, input["has"])]
    file, source = input["file"], input["source"]
    try:
        tree = ast.parse(source, file)
        compile(tree, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        return {"message": error.msg, "line": max(error.lineno or 1, 1), "column": max(error.offset or 1, 1)}
    except (ValueError, RecursionError, MemoryError) as error:
        said = str(error) or "it is more than can be compiled"
        return {"message": f"{type(error).__name__}: {said}", "line": 1, "column": 1}
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
    others = sorted(name for name in tops if name not in sys.stdlib_module_names and name != "compute")
    return {"imports": imports, "others": others, "missing": sorted(_missing(tops)), "memory": memory}
