import ast

from compute import op


@op
def imports(input):
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
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join(above + ([node.module] if node.module else []))
            if base:
                names.add(base)
            names.update(".".join(filter(None, [base, alias.name])) for alias in node.names if alias.name != "*")
    return {"imports": sorted(names)}
