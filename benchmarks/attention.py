"""Attention: ours, plain, and PyTorch's, forward and backward, and decoding over pages.

On a CPU: every `impl` of `flash_attention`, and PyTorch's function called the usual way. On a GPU
also each of PyTorch's kernels by itself, FlexAttention, the share of the speed of a plain matrix
product and, for decoding, of the speed of a plain copy.

python benchmarks/attention.py
"""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from llm_course.transformers.flash import flash_attention

HEADS, KV_HEADS, SIZE = 9, 3, 64  # as SmolLM2-135M has them
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BACKWARD_TOKENS = 1024  # on a CPU: the plain backward pass of more takes too long
SLOW_ROUNDS = 5
DECODE_CALLS = 100  # one is too short to time
GPU_DTYPE = torch.bfloat16
GPU_TOKENS = 16384  # of a batch
BACKWARD_WORK = 2.5  # matrix products of the backward pass, to those of the forward pass
BYTES_AN_ELEMENT = 2  # of bfloat16
LARGEST_CACHE = 40e9  # bytes
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


class Inputs(NamedTuple):
    "Queries, keys and values as the attention layer lays them out, and a gradient."

    q: Tensor
    k: Tensor
    v: Tensor
    gradient: Tensor


def make_inputs(
    *, batch: int, heads: int, kv_heads: int, t_q: int, t_k: int, size: int, dtype, device: str
) -> Inputs:
    generator = torch.Generator().manual_seed(0)

    def make(n_heads: int, t: int) -> Tensor:
        x = torch.randn(batch, t, n_heads, size, generator=generator)
        return x.to(device, dtype).transpose(1, 2)  # b h t d

    return Inputs(make(heads, t_q), make(kv_heads, t_k), make(kv_heads, t_k), make(heads, t_q))


def with_gradients(x: Inputs) -> list[Tensor]:
    return [part.detach().requires_grad_() for part in (x.q, x.k, x.v)]


def forward(f: Attend, x: Inputs) -> Callable:
    return lambda: f(x.q, x.k, x.v)


def there_and_back(f: Attend, x: Inputs) -> Callable:
    "A call of `f` with gradients."
    parts = with_gradients(x)
    return lambda: torch.autograd.grad(f(*parts), parts, x.gradient)


def only_back(f: Attend, x: Inputs) -> Callable:
    "The backward pass alone, of one forward pass that is kept."
    parts = with_gradients(x)
    out = f(*parts)
    return lambda: torch.autograd.grad(out, parts, x.gradient, retain_graph=True)


def usual(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    "PyTorch's function, as most people call it."
    gqa = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, is_causal=q.shape[2] > 1, enable_gqa=gqa)


def ours(impl: str) -> Attend:
    return lambda q, k, v: flash_attention(q, k, v, causal=True, impl=impl)


def calls(f: Callable, n: int) -> Callable:
    "`n` calls, for what is too short to time alone."

    def run():
        for _ in range(n):
            f()

    return run


# CPU ----------------------------------------------------------------------------------------------

CPU_IMPLS = {
    "naive": ours("naive"),
    "tiled": ours("tiled"),
    "auto": ours("auto"),
    "PyTorch, usual call": usual,
}


def rows_of(
    runs: Mapping[str, Callable], repeats: int, fewer: Mapping[str, int], n_calls: int, **labels
) -> list[dict]:
    "Time the runs in turn: a row of median and spread for each, in milliseconds a call."
    print(" ".join(map(str, labels.values())), file=sys.stderr)
    seconds = in_turn(runs, repeats, fewer, progress=False)
    rows = []
    for name, s in seconds.items():
        ms = [1e3 * x / n_calls for x in s]
        times = {"ms": median(ms), "low": min(ms), "high": max(ms)}
        rows.append(labels | {"impl": name} | times)
    return rows


def prefill_rows(dtype: str, t: int, repeats: int) -> list[dict]:
    "Reading `t` tokens, forward, and backward where that doesn't take too long."
    sizes = dict(batch=1, heads=HEADS, kv_heads=KV_HEADS, t_q=t, t_k=t, size=SIZE)
    x = make_inputs(**sizes, dtype=DTYPES[dtype], device="cpu")
    fewer = {name: min(repeats, SLOW_ROUNDS) for name in ("naive", "tiled")} if t > 1000 else {}
    labels = {"dtype": dtype, "tokens": t}
    with torch.inference_mode():
        runs = {name: forward(f, x) for name, f in CPU_IMPLS.items()}
        rows = rows_of(runs, repeats, fewer, 1, **{"pass": "forward"} | labels)
    if t <= BACKWARD_TOKENS:
        runs = {name: there_and_back(f, x) for name, f in CPU_IMPLS.items()}
        rows += rows_of(runs, repeats, fewer, 1, **{"pass": "forward and backward"} | labels)
    return rows


@torch.inference_mode()
def decode_rows(dtype: str, t: int, repeats: int) -> list[dict]:
    "One query over `t` keys."
    sizes = dict(batch=1, heads=HEADS, kv_heads=KV_HEADS, t_q=1, t_k=t, size=SIZE)
    x = make_inputs(**sizes, dtype=DTYPES[dtype], device="cpu")
    held = x._replace(k=x.k.contiguous(), v=x.v.contiguous())  # as a cache holds them
    runs = {}
    for name, f in CPU_IMPLS.items():
        if name != "tiled":
            runs[name] = calls(forward(f, held), DECODE_CALLS)
    labels = {"pass": "decode", "dtype": dtype, "tokens": t}
    return rows_of(runs, repeats, {}, DECODE_CALLS, **labels)


def on_cpu(repeats: int) -> list[dict]:
    rows = []
    for dtype in DTYPES:
        for t in (256, 512, 1024, 2048):
            rows += prefill_rows(dtype, t, repeats)
        for t in (256, 1024, 4096):
            rows += decode_rows(dtype, t, repeats)
    return rows


# GPU ----------------------------------------------------------------------------------------------


def pinned(backend: SDPBackend) -> Attend:
    "PyTorch's function with one kernel; it raises where that kernel refuses the input."

    def f(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    return f


def flex() -> Attend:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    compiled, masks = torch.compile(flex_attention), {}

    def causal(b, h, i, j):
        return i >= j

    def f(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        t = q.shape[2]
        if t not in masks:
            masks[t] = create_block_mask(causal, None, None, t, t)
        return compiled(q, k, v, block_mask=masks[t])

    return f


def milliseconds(f: Callable) -> float:
    import triton

    return triton.testing.do_bench(f, warmup=50, rep=200, return_mode="median")


def matmul_peak(dtype: torch.dtype) -> float:
    "TFLOP/s of the faster of two large matrix products: what this chip does at its best."
    best = 0.0
    for n in (4096, 8192):
        a, b = torch.randn(2, n, n, device="cuda", dtype=dtype)
        best = max(best, 2 * n**3 / milliseconds(lambda: a @ b) / 1e9)
    return best


def copy_peak() -> float:
    "GB/s of a large copy, reads and writes counted."
    x = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    y = torch.empty_like(x)
    return 2 * x.numel() / milliseconds(lambda: y.copy_(x)) / 1e6


def try_milliseconds(make: Callable[[], Callable]) -> float | None:
    "The time of what `make` makes; None for a kernel that refuses, or runs out of memory."
    try:
        return milliseconds(make())
    except Exception as error:
        reason = str(error).splitlines()[:1]
        print(f"  {type(error).__name__}: {''.join(reason)[:100]}", file=sys.stderr)
        return None


def gpu_rows(impls: Mapping[str, Attend], t: int, size: int, heads: int, peak: float) -> list[dict]:
    "Forward and backward over `t` tokens."
    batch = max(1, GPU_TOKENS // t)
    sizes = dict(batch=batch, heads=heads, kv_heads=heads, t_q=t, t_k=t, size=size)
    x = make_inputs(**sizes, dtype=GPU_DTYPE, device="cuda")
    flops = 2 * batch * heads * t * t * size  # two products, half of the matrix
    ways = {"forward": (forward, flops), "backward": (only_back, BACKWARD_WORK * flops)}
    rows = []
    for direction, (way, work) in ways.items():
        for name, f in impls.items():
            ms = try_milliseconds(lambda: way(f, x))
            if ms is None:
                continue
            tflops = work / ms / 1e9
            labels = {"pass": direction, "size": size, "tokens": t, "batch": batch, "impl": name}
            rows.append(labels | {"ms": ms, "tflops": tflops, "of matmul": tflops / peak})
    return rows


def paged_row(group: int, batch: int, t: int, copy: float) -> dict | None:
    "One query of each sequence over `t` tokens in pages; None where they take too much memory."
    from llm_course.transformers.kernels import triton_paged_attention

    kv_heads, size, block = 8, 128, 16
    n_bytes = 2 * batch * t * kv_heads * size * BYTES_AN_ELEMENT
    if n_bytes > LARGEST_CACHE:
        return None
    n_blocks = batch * t // block
    options = {"device": "cuda", "dtype": GPU_DTYPE}
    k_pool, v_pool = torch.randn(2, n_blocks, kv_heads, block, size, **options)
    q = torch.randn(batch, kv_heads * group, 1, size, **options)
    table = torch.randperm(n_blocks, device="cuda").int().view(batch, -1)
    lengths = torch.full((batch,), t, device="cuda")
    ms = milliseconds(lambda: triton_paged_attention(q, k_pool, v_pool, table, lengths))
    speed = n_bytes / ms / 1e6
    return {
        "queries a key head": group,
        "batch": batch,
        "tokens": t,
        "us": ms * 1e3,
        "GB/s": speed,
        "of copy": speed / copy,
        "cache (MB)": n_bytes / 1e6,
    }


def on_gpu(lengths: Sequence[int]) -> dict:
    import llm_course.transformers.kernels  # noqa: F401  adds `triton` to flash's IMPLS

    peak, copy = matmul_peak(GPU_DTYPE), copy_peak()
    impls = {
        "ours": ours("triton"),
        "FlashAttention-2 (SDPA)": pinned(SDPBackend.FLASH_ATTENTION),
        "cuDNN (SDPA)": pinned(SDPBackend.CUDNN_ATTENTION),
        "efficient (SDPA)": pinned(SDPBackend.EFFICIENT_ATTENTION),
        "FlexAttention": flex(),
    }
    rows, pages = [], []
    for size, heads in ((64, 32), (128, 16)):
        for t in lengths:
            new = gpu_rows(impls, t, size, heads, peak)
            print(table(new), flush=True)
            rows += new
    for group in (1, 4, 8):
        for batch in (1, 8, 64):
            for t in (1024, 8192, 32768):
                row = paged_row(group, batch, t, copy)
                pages += [row] if row else []
    print(table(pages))
    shown = tables(rows, "tflops", "TFLOP/s") | {"Paged decoding": pages}
    return {"tables": shown, "rows": rows, "paged": pages, "matmul_tflops": peak, "copy_gbs": copy}


# Results ------------------------------------------------------------------------------------------


def title_of(row: Mapping, unit: str) -> str:
    parts = [row["pass"].capitalize()]
    if "dtype" in row:
        parts.append(row["dtype"])
    if "size" in row:
        parts.append(f"heads of {row['size']}")
    return ", ".join([*parts, unit])


def tables(rows: Sequence[Mapping], value: str, unit: str) -> dict[str, list[dict]]:
    "The rows with a column for each implementation: a table for each pass and kind."
    found: dict[str, dict[int, dict]] = {}
    for row in rows:
        by_tokens = found.setdefault(title_of(row, unit), {})
        line = by_tokens.setdefault(row["tokens"], {"tokens": row["tokens"]})
        line[row["impl"]] = row[value]
    return {title: list(by_tokens.values()) for title, by_tokens in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="rounds on a CPU (default 9)")
    lengths = [2048, 4096, 8192, 16384]
    parser.add_argument(
        "--tokens", type=int, nargs="+", default=lengths, help="lengths on a GPU (default: 4)"
    )
    args = parser.parse_args()
    if torch.cuda.is_available():
        save("attention", on_gpu(args.tokens), packages=("torch", "triton"))
        return
    rows = on_cpu(args.repeats)
    print(table(rows))
    results = {"repeats": args.repeats, "tables": tables(rows, "ms", "ms"), "rows": rows}
    save("attention", results, packages=("torch",))


if __name__ == "__main__":
    main()
