"""Import contracts that import-linter does not bring: who may import what, name by name.

`pyproject.toml` registers them under [tool.importlinter]; `make check` runs them. Both look at
direct imports only: each link of a chain is held by the contract of its own importer.
"""

from collections.abc import Iterable
from typing import Any

import grimp
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.helpers import module_expressions_to_modules


def _within(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _names(graph: grimp.ImportGraph, expressions: Any) -> set[str]:
    return {module.name for module in module_expressions_to_modules(graph, expressions or set())}


class _NamedImports(Contract):
    """A contract whose violations are a list of single imports."""

    def check(self, graph: grimp.ImportGraph, verbose: bool) -> ContractCheck:
        illegal = sorted(set(self.illegal_imports(graph)))
        return ContractCheck(kept=not illegal, metadata={"illegal": illegal})

    def illegal_imports(self, graph: grimp.ImportGraph) -> Iterable[tuple[str, str]]:
        """Pairs of importer and imported module that break the contract."""
        raise NotImplementedError

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported in check.metadata["illegal"]:
            output.print_error(f"- {importer} -> {imported}", bold=False)
        output.new_line()


class ImportsOnly(_NamedImports):
    """`packages` import nothing of this repository but themselves and `allowed`."""

    type_name = "imports_only"
    packages = fields.SetField(subfield=fields.ModuleExpressionField())
    allowed = fields.SetField(subfield=fields.ModuleExpressionField(), required=False)

    def illegal_imports(self, graph: grimp.ImportGraph) -> Iterable[tuple[str, str]]:
        packages = _names(graph, self.packages)
        allowed = packages | _names(graph, self.allowed)
        roots = set(self.session_options["root_packages"])
        for importer in graph.modules:
            if not _within(importer, packages):
                continue
            for imported in graph.find_modules_directly_imported_by(importer):
                if imported.partition(".")[0] in roots and not _within(imported, allowed):
                    yield importer, imported


class OnlyInside(_NamedImports):
    """`packages`, external or not, are imported only by modules that match `importers`."""

    type_name = "only_inside"
    packages = fields.SetField(subfield=fields.ModuleExpressionField())
    importers = fields.SetField(subfield=fields.ModuleExpressionField(), required=False)

    def illegal_imports(self, graph: grimp.ImportGraph) -> Iterable[tuple[str, str]]:
        packages = _names(graph, self.packages)
        importers = _names(graph, self.importers)
        for imported in graph.modules:
            if not _within(imported, packages):
                continue
            for importer in graph.find_modules_that_directly_import(imported):
                if not _within(importer, importers | packages):
                    yield importer, imported


class OwnModelsOnly(_NamedImports):
    """The models of an app in `containers` are imported inside that app alone, and by `exempt`."""

    type_name = "own_models_only"
    containers = fields.SetField(subfield=fields.ModuleExpressionField())
    exempt = fields.SetField(subfield=fields.ModuleExpressionField(), required=False)

    def illegal_imports(self, graph: grimp.ImportGraph) -> Iterable[tuple[str, str]]:
        exempt = _names(graph, self.exempt)
        for app in _names(graph, self.containers):
            for imported in graph.modules:
                if not _within(imported, {f"{app}.models"}):
                    continue
                for importer in graph.find_modules_that_directly_import(imported):
                    if not _within(importer, exempt | {app}):
                        yield importer, imported
