"""4- and 8-bit weights on a GPU: ours, plain bfloat16, and PyTorch's own 4-bit product.

Every way multiplies the same inputs by the same weights, as far as its format can hold them. Errors
are relative, against float64; speeds are medians of calls, the cache emptied before each.

python benchmarks/gpu_linear.py [--tokens 1 2 16 …]
"""

from common import save, table  # before torch: it sets the environment

# isort: split
import argparse
import sys
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from llm_course.compression.gpu import gpu_linear
from llm_course.compression.layout import block_weights, pack_blocks, unpack_blocks

DTYPE = torch.bfloat16
GROUP = 32
SHAPES = {  # outputs, inputs
    "SmolLM2-135M, gate and up": (3072, 576),
    "SmolLM2-135M, down": (576, 1536),
    "7B, output": (4096, 4096),
    "7B, gate and up": (22016, 4096),
}
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
SPLITS = (1, 2, 4, 8, 16)
Product = Callable[[Tensor], Tensor]


def random_blocks(outputs: int, inputs: int, bits: int, device: str) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(2**bits, (outputs, inputs), generator=generator, dtype=torch.uint8)
    scale = 0.5 + torch.rand(outputs, inputs // GROUP, generator=generator)
    return pack_blocks(codes, scale, -(2 ** (bits - 1)) * scale, bits).to(device)


def int4_mm(blocks: Tensor) -> Product:
    "PyTorch's `_weight_int4pack_mm` for the blocks' codes, scales and offsets."
    codes, scale, offset = unpack_blocks(blocks)
    pairs = codes[:, ::2] << 4 | codes[:, 1::2]
    packed = torch._convert_weight_to_int4pack(pairs.contiguous(), 8)
    zero = offset.float() + 8 * scale.float()  # its weights are (q - 8) · scale + zero
    shared = torch.stack((scale.float(), zero), -1).transpose(0, 1).contiguous().to(DTYPE)
    return lambda x: torch._weight_int4pack_mm(x, packed, GROUP, shared)


def products(blocks4: Tensor, blocks8: Tensor) -> dict[str, tuple[Product, Tensor, float]]:
    "For each way: the product, the blocks whose weights it has, and its bytes."
    weights = block_weights(blocks4, DTYPE)
    found: dict[str, tuple[Product, Tensor, float]] = {
        "bfloat16": (lambda x: F.linear(x, weights), blocks4, weights.nbytes),
        "ours, 4 bits": (lambda x: gpu_linear(x, blocks4), blocks4, blocks4.nbytes),
        "unpacked, then bfloat16": (
            lambda x: F.linear(x, block_weights(blocks4, DTYPE)),
            blocks4,
            blocks4.nbytes,
        ),
        "ours, 8 bits": (lambda x: gpu_linear(x, blocks8), blocks8, blocks8.nbytes),
    }
    try:
        found["PyTorch's 4 bits"] = (int4_mm(blocks4), blocks4, blocks4.nbytes)
    except Exception as error:
        print(f"PyTorch's 4 bits: {type(error).__name__}: {str(error)[:100]}", file=sys.stderr)
    return found


def relative_error(found: Tensor, x: Tensor, blocks: Tensor) -> float:
    ref = x.double() @ block_weights(blocks).double().T
    return ((found.double() - ref).norm() / ref.norm()).item()


def milliseconds(f: Callable) -> float:
    import triton

    return triton.testing.do_bench(f, warmup=25, rep=100, return_mode="median")


def lines_of(
    name: str, blocks4: Tensor, blocks8: Tensor, counts: Sequence[int], time: Callable
) -> list[dict]:
    "A line for each way and number of tokens."
    outputs, inputs = block_weights(blocks4).shape
    ways = products(blocks4, blocks8)
    found = []
    for n in counts:
        generator = torch.Generator().manual_seed(n)
        x = torch.randn(n, inputs, generator=generator).to(blocks4.device, DTYPE)
        for way, (product, blocks, n_bytes) in ways.items():
            off = relative_error(product(x), x, blocks)
            ms = time(lambda: product(x))
            speeds = {"us": 1e3 * ms, "GB/s": n_bytes / ms / 1e6}
            speeds["TFLOP/s"] = 2 * n * outputs * inputs / ms / 1e9
            found.append({"matrix": name, "tokens": n, "way": way, "error": off} | speeds)
    return found


def one_by_parts(name: str, blocks: Tensor, time: Callable) -> list[dict]:
    "One token by so many parts of each block: is the number that we take the fastest?"
    x = torch.randn(1, block_weights(blocks).shape[1], device=blocks.device, dtype=DTYPE)
    line = {"matrix": name, "ours": 1e3 * time(lambda: gpu_linear(x, blocks))}
    for splits in SPLITS:
        line[f"{splits} parts"] = 1e3 * time(lambda: gpu_linear(x, blocks, splits=splits))
    return [line]


def compare(rows: Sequence[dict]) -> list[dict]:
    "A line for each matrix and number of tokens: µs of each way, and our gain over bfloat16."
    lines: dict[tuple, dict] = {}
    for row in rows:
        key = row["matrix"], row["tokens"]
        line = lines.setdefault(key, {"matrix": row["matrix"], "tokens": row["tokens"]})
        line[row["way"]] = row["us"]
    for line in lines.values():
        line["bfloat16 / ours"] = line["bfloat16"] / line["ours, 4 bits"]
    return list(lines.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this benchmark measures a GPU, and PyTorch finds none here (torch.cuda)")
    rows, parts = [], []
    for name, (outputs, inputs) in SHAPES.items():
        blocks4, blocks8 = (random_blocks(outputs, inputs, bits, "cuda") for bits in (4, 8))
        new = lines_of(name, blocks4, blocks8, args.tokens, milliseconds)
        print(table(new), flush=True)
        rows += new
        parts += one_by_parts(name, blocks4, milliseconds)
    print(table(parts))
    tables = {"4-bit weights on a GPU, µs": compare(rows), "One token by parts, µs": parts}
    save("gpu_linear", {"tables": tables, "rows": rows, "parts": parts}, ("torch", "triton"))


if __name__ == "__main__":
    main()
