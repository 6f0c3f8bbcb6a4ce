"""The changes that are made to a module, one at a time: each one expression or statement instead of another."""

import ast
import copy
from dataclasses import dataclass, field

_COMPARED = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_REACHED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Mutant:
    """One change: ``make`` carries it out in the tree that it was found in, and there is no way back."""

    line: int
    function: str  # its qualified name, and that of the outermost one where functions are nested; "" at module level
    before: str
    after: str
    count: int = 1  # how many such changes of this function there are up to this one
    _place: tuple = field(default=(), repr=False)

    @property
    def name(self):
        """What the list of equivalent changes calls it; it stays the same when lines are added elsewhere."""
        count = f" #{self.count}" if self.count > 1 else ""
        return f"{self.function or '(module)'}: {self.before} -> {self.after}{count}"

    def make(self):
        parent, name, index, node = self._place
        if index is None:
            setattr(parent, name, node)
        else:
            getattr(parent, name)[index] = node


def mutants(tree):
    """Every change of a module's tree."""
    seen = {}
    for mutant in _walk(tree, "", inside=False):
        same = mutant.name
        mutant.count = seen[same] = seen.get(same, 0) + 1
        yield mutant


def _walk(node, function, *, inside):
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params", "type_comment", "ctx"):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or _is_left_alone(child):
                continue
            # What stands before the body, as defaults and decorators do, is no part of the function.
            is_inside = inside or (isinstance(node, _FUNCTION) and name == "body")
            for other in _replacements(child, node):
                if hasattr(child, "lineno"):
                    ast.copy_location(other, child)
                ast.fix_missing_locations(other)
                at = function if is_inside else ""
                yield Mutant(_line(child), at, _shown(child), _shown(other), _place=(node, name, index, other))
            within = function
            if isinstance(child, _FUNCTION | ast.ClassDef) and not is_inside:
                within = f"{function}.{child.name}".lstrip(".")
            yield from _walk(child, within, inside=is_inside)


def _line(node):
    return node.target.lineno if isinstance(node, ast.comprehension) else node.lineno


def _shown(node):
    if isinstance(node, ast.ExceptHandler):
        return f"except {_shown(node.type)}"
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 100 else f"{text[:60]} ... {text[-35:]}"


def _is_left_alone(node):
    """Whether it is for people, or for type checkers."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return True  # a docstring, or an ellipsis
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="_log" | "log")))):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))):
            return True
        case ast.FunctionDef(decorator_list=[ast.Name(id="overload")]):
            return True
        case ast.Import() | ast.ImportFrom():
            return True
    return False


def _replacements(node, parent):
    """What may stand instead of an expression or a statement."""
    match node:
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                for other in _COMPARED[type(op)]:
                    yield ast.Compare(node.left, [*ops[:index], other(), *ops[index + 1 :]], node.comparators)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for index in range(len(values)):
                rest = [*values[:index], *values[index + 1 :]]
                yield ast.BoolOp(op, rest) if len(rest) > 1 else copy.copy(rest[0])
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield copy.copy(operand)
        case ast.BinOp(op=op) if type(op) in _REACHED:
            yield ast.BinOp(node.left, _REACHED[type(op)](), node.right)
        case ast.IfExp():
            yield copy.copy(node.body)
            yield copy.copy(node.orelse)
        case ast.Constant(value=value):
            yield from _other_constants(value, parent)
        case ast.Call() if node.keywords:
            for index, keyword in enumerate(node.keywords):
                if keyword.arg:
                    yield ast.Call(node.func, node.args, [*node.keywords[:index], *node.keywords[index + 1 :]])
        case ast.Slice():
            if node.lower:
                yield ast.Slice(None, node.upper, node.step)
            if node.upper:
                yield ast.Slice(node.lower, None, node.step)
            if node.step:
                yield ast.Slice(node.lower, node.upper, None)
        case ast.comprehension(ifs=ifs) if ifs:
            for index in range(len(ifs)):
                yield ast.comprehension(node.target, node.iter, [*ifs[:index], *ifs[index + 1 :]], node.is_async)
        case _:
            yield from _other_statements(node)
    if isinstance(node, ast.expr) and isinstance(parent, ast.If | ast.While) and node is parent.test:
        yield ast.Constant(False)
        if isinstance(parent, ast.If):
            yield ast.Constant(True)


def _other_constants(value, parent):
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
    elif isinstance(value, bytes):
        yield ast.Constant(value + b"XX")
    # What holds spaces is a sentence for people, mostly.
    elif isinstance(value, str) and " " not in value and not isinstance(parent, ast.Attribute):
        yield ast.Constant(value + "XX" if value else "XX")


def _other_statements(node):
    match node:
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr() | ast.Raise() | ast.Delete():
            yield ast.Pass()
        case ast.AugAssign():
            target = copy.copy(node.target)
            yield ast.Assign([target], node.value)
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()
        case ast.ExceptHandler(type=ast.Tuple(elts=elts)) if len(elts) > 1:
            for index in range(len(elts)):
                rest = ast.Tuple([*elts[:index], *elts[index + 1 :]], ast.Load())
                yield ast.ExceptHandler(rest, node.name, node.body)
        case ast.ExceptHandler(type=ast.expr()):
            yield ast.ExceptHandler(ast.Tuple([], ast.Load()), node.name, node.body)


def _is_none(node):
    return isinstance(node, ast.Constant) and node.value is None
