"""The claims inside a test: their text, and the values that were compared when one fails."""

import ast
import types
from copy import deepcopy
from dataclasses import dataclass

VALUES = "_claim_values"  # the name under which a rewritten test keeps what it compares
ASSERTING = ("assert_", "test_", "expect_fail")  # calls that are claims themselves


@dataclass
class Claim:
    "One thing that a test says."

    text: str
    line: int

    @classmethod
    def all_in(cls, test: ast.FunctionDef, source: str) -> list["Claim"]:
        "The claims of a test, in the order in which they stand."
        found = []
        for node in ast.walk(test):
            if isinstance(node, ast.Assert):
                found += [cls(text_of(part, source), part.lineno) for part in parts(node.test)]
            elif isinstance(node, ast.Call) and called(node).startswith(ASSERTING):
                found.append(cls(text_of(node, source), node.lineno))
        return sorted(found, key=lambda claim: claim.line)


def called(node: ast.Call) -> str:
    "The last name of what is called: `assert_close` of `torch.testing.assert_close(…)`."
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def parts(test: ast.expr) -> list[ast.expr]:
    "`a and b` are two claims."
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return [p for value in test.values for p in parts(value)]
    return [test]


def text_of(node: ast.expr, source: str) -> str:
    text = ast.get_source_segment(source, node) or ast.unparse(node)
    return f"`{short(text, 100)}`"


def short(value: object, width: int = 40) -> str:
    "A value in at most `width` characters; a large tensor by its shape."
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "numel") and value.numel() > 8:
        return f"a tensor of shape {tuple(shape)}"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) and width > 40 else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


# Rewrite a test so that it keeps what it compares -------------------------------------------------


class KeepValues(ast.NodeTransformer):
    "`assert f(x) == y` becomes `_claim_values = f(x), y` and an assertion on the two."

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for part in parts(node.test):
            operands = operands_of(part)
            if operands:
                keep = ast.Assign([ast.Name(VALUES, ast.Store())], ast.Tuple(operands, ast.Load()))
                statements.append(ast.copy_location(keep, part))
                part = ast.copy_location(over_values(part), part)
            else:
                forget = ast.Assign([ast.Name(VALUES, ast.Store())], ast.Constant(()))
                statements.append(ast.copy_location(forget, part))
            statements.append(ast.copy_location(ast.Assert(part, node.msg), part))
        return statements

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        return node


def operands_of(test: ast.expr) -> list[ast.expr]:
    "What a claim compares: the sides of `a < b`, the arguments of `equal(a, b)`; else nothing."
    if isinstance(test, ast.Compare):
        return [test.left, *test.comparators]
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return operands_of(test.operand)
    if isinstance(test, ast.Call):
        lazy = (ast.GeneratorExp, ast.Starred)  # a generator can be read once only
        if not any(isinstance(a, lazy) for a in test.args):
            return list(test.args)
    return []


def over_values(test: ast.expr) -> ast.expr:
    "The same claim about the values that were kept."

    def kept(i: int) -> ast.expr:
        return ast.Subscript(ast.Name(VALUES, ast.Load()), ast.Constant(i), ast.Load())

    if isinstance(test, ast.Compare):
        others = [kept(i + 1) for i in range(len(test.comparators))]
        return ast.Compare(kept(0), test.ops, others)
    if isinstance(test, ast.UnaryOp):
        return ast.UnaryOp(test.op, ast.copy_location(over_values(test.operand), test))
    return ast.Call(test.func, [kept(i) for i in range(len(test.args))], test.keywords)


def with_values(function: ast.FunctionDef) -> ast.FunctionDef:
    "A copy of a function whose assertions keep what they compare; its lines keep their numbers."
    return KeepValues().visit(deepcopy(function))


def failed_claim(frame: types.FrameType, line: int, source: str, message: str) -> str:
    "A failed claim with the values that it compared."
    claim = claim_at(line, source)
    if claim is None:
        text = source.splitlines()[line - 1].strip()
        return f"`{short(text, 100)}`" + (f", {short(message, 120)}" if message else "")
    text = text_of(claim, source)
    values = frame.f_locals.get(VALUES, ())
    if values and isinstance(claim, ast.Compare):
        shown = [short(values[0])]
        for op, value in zip(claim.ops, values[1:]):
            shown += [SIGNS[type(op)], short(value)]
        text += f", with {' '.join(shown)}"
    elif values:
        text += f", with {' and '.join(map(short, values))}"
    return text + (f" ({short(message, 120)})" if message else "")


SIGNS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


def claim_at(line: int, source: str) -> ast.expr | None:
    "The asserted expression that stands at a line."
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            for part in parts(node.test):
                if part.lineno <= line <= (part.end_lineno or part.lineno):
                    return part
    return None
