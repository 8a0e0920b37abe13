"""Which file imports which: rooms only from those above them, and no file, by whatever way, from itself."""

import ast
from pathlib import Path

NFA = Path(__file__).resolve().parents[1] / "nfa"
ROOMS = (
    *("common", "data", "network", "formats", "probe", "features", "audits", "substitution", "tracking", "rfm"),
    *("tables", "plots", "report", "commands"),
)
"""As in docs/design.md: a room imports from those before it."""

CONVENIENCES = {("nfa.audits.audit", other) for other in ("nfa.plots.layers", "nfa.report.page", "nfa.report.words")}
"""Imports inside of methods that only pass their object on: `audit.plot()`, `audit.report()`, `audit.sentences()`."""


def module_name(file):
    parts = ("nfa", *file.relative_to(NFA).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in NFA.rglob("*.py")}


class Imports(ast.NodeVisitor):
    """The modules of nfa that a file imports, also inside functions; not those for the type checker alone."""

    def __init__(self):
        self.found = set()

    def visit_If(self, node):
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.generic_visit(node)

    def visit_Import(self, node):
        self.found |= {alias.name for alias in node.names} & set(MODULES)

    def visit_ImportFrom(self, node):
        if node.module is None or node.module.split(".")[0] != "nfa":
            return
        names = {f"{node.module}.{alias.name}" for alias in node.names}
        self.found |= names & set(MODULES)
        if not names <= set(MODULES):
            self.found.add(node.module)


def imports():
    found = {}
    for name, file in MODULES.items():
        visitor = Imports()
        visitor.visit(ast.parse(file.read_text()))
        found[name] = {other for other in visitor.found if (name, other) not in CONVENIENCES} - {name}
    return found


def circles(graph):
    """The sets of modules that import each other by some way (Tarjan's strongly connected components)."""
    number, low, stack, found = {}, {}, [], []

    def visit(module):
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in graph[module]:
            if other not in number:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], number[other])
        if low[module] == number[module]:
            place = stack.index(module)
            if len(stack) - place > 1:
                found.append(frozenset(stack[place:]))
            del stack[place:]

    for module in graph:
        if module not in number:
            visit(module)
    return set(found)


def test_what_a_circle_is():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {frozenset({"b", "c"})}


def test_no_file_imports_itself_by_way_of_others():
    assert not circles(imports())


def test_rooms_import_only_from_those_above_them():
    order = {room: number for number, room in enumerate(ROOMS)}
    wrong = [
        f"{module} imports {other}"
        for module, others in imports().items()
        for other in others
        if (room := module.split(".")[1:2]) and room[0] in order
        if (above := other.split(".")[1:2]) and (above[0] not in order or order[above[0]] > order[room[0]])
    ]
    assert wrong == []
