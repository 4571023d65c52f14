"""What Triton makes of a kernel for a GPU that needn't be here: its machine code.

    code, = machine_code("llm_course.compression.gpu", [
        {"kernel": "_few_tokens", "types": {"x": "*bf16", …}, "constants": {"BITS": 4, …}}
    ], capability=90)
    len(code["loop"])  # instructions that a thread takes each time round

Triton brings the assembler of the GPU's maker along, so that a kernel is compiled, though not run,
on any machine. It happens in a process of its own: one that interprets kernels can't compile them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

LABEL = re.compile(r"^(\w+):\s*$")  # other lines begin with what they wait for, such as 08:
INSTRUCTION = re.compile(r"\t(?:@!?U?P\w+ )?([A-Z][A-Z0-9_.]*)(.*);")


def machine_code(
    module: str,
    requests: list[dict[str, Any]],  # kernel, types, constants, options (such as num_warps)
    *,
    capability: int,  # of the GPU: 80 for an A100, 90 for an H100
) -> list[dict[str, Any]]:  # for each: ptx, lines, loop, shared, registers
    """The assembler's text, the longest loop, bytes of shared memory, registers.

    `lines` are the loop's instructions with their operands, `loop` their names.

    Raises `RuntimeError` where it can't be compiled.
    """
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    given = json.dumps({"module": module, "requests": requests, "capability": capability})
    command = [sys.executable, "-m", "course_tools.gpu_code"]
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"the kernels were not compiled: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def loop_lines(sass: str) -> list[str]:
    "The instructions between a label and the last jump back to it, for the longest such loop."
    lines: list[str] = []
    places: dict[str, int] = {}
    longest: list[str] = []
    for line in sass.splitlines():
        if found := LABEL.match(line):
            places[found[1]] = len(lines)
        elif found := INSTRUCTION.search(line):
            lines.append(found[1] + found[2])
            target = found[2].strip()
            if found[1] == "BRA" and target in places:
                loop = lines[places[target] :]
                if len(loop) > len(longest) and len(loop) > 1:
                    longest = loop
    return longest


def longest_loop(sass: str) -> list[str]:
    "The names of the longest loop's instructions."
    return [line.split()[0] for line in loop_lines(sass)]


def _compile(kernel: Any, request: dict[str, Any], capability: int) -> dict[str, Any]:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types, constants = request["types"], request["constants"]
    signature = {name: types.get(name, "constexpr") for name in kernel.arg_names}
    aligned = {}  # what PyTorch allocates begins at a multiple of 16
    for i, name in enumerate(kernel.arg_names):
        if signature[name].startswith("*"):
            aligned[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature=signature, constexprs=constants, attrs=aligned)
    options = {"enable_fp_fusion": True} | request.get("options", {})
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    loop = longest_loop(made.asm["sass"])
    registers = _registers(made.asm["cubin"])
    return {
        "ptx": made.asm["ptx"],
        "lines": loop_lines(made.asm["sass"]),
        "loop": loop,
        "shared": made.metadata.shared,
        "registers": registers,
    }


def _registers(cubin: bytes) -> int:
    "How many registers a thread takes, as the assembler's own tool reads it."
    import triton

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(path)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"REG:(\d+)", told)[1])


def main() -> None:
    given = json.load(sys.stdin)
    module = import_module(given["module"])
    made = []
    for request in given["requests"]:
        kernel = getattr(module, request["kernel"])
        made.append(_compile(kernel, request, given["capability"]))
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
