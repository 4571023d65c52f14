"""Attention: ours, plain, and PyTorch's, forward and backward, and decoding over pages: `python benchmarks/attention.py`.

On a CPU: every `impl` of `flash_attention` and PyTorch's function called the usual way. On a GPU also each of PyTorch's kernels by itself, FlexAttention,
the fraction of the speed of a plain matrix product, and of the speed of a plain copy for decoding.
"""

from common import in_turn, median, save, table  # before torch: it sets the environment

# isort: split
import argparse
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from llm_course.transformers.flash import flash_attention, triton_paged_attention

HEADS, KV_HEADS, SIZE = 9, 3, 64  # as SmolLM2-135M has them
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def tensors(b, h, hk, t_q, t_k, d, dtype, device):
    "Queries, keys and values, as `MultiHeadAttention` lays them out, and a gradient."
    gen = torch.Generator().manual_seed(0)
    make = lambda n, t: torch.randn(b, t, n, d, generator=gen).to(device, dtype).transpose(1, 2)
    return make(h, t_q), make(hk, t_k), make(hk, t_k), make(h, t_q)


def there_and_back(f, q, k, v, g):
    "A call of `f` with gradients."
    q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
    return lambda: torch.autograd.grad(f(q, k, v), (q, k, v), g)


def only_back(f, q, k, v, g):
    "The backward pass alone, of one forward pass that is kept."
    q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
    out = f(q, k, v)
    return lambda: torch.autograd.grad(out, (q, k, v), g, retain_graph=True)


def usual(q, k, v):
    return F.scaled_dot_product_attention(
        q, k, v, is_causal=q.shape[2] > 1, enable_gqa=q.shape[1] != k.shape[1]
    )


def ours(impl, **options):
    return lambda q, k, v: flash_attention(q, k, v, causal=True, impl=impl, **options)


def calls(f, n):
    "`n` calls, for what is too short to time alone."

    def run():
        for _ in range(n):
            f()

    return run


def rows_of(runs, repeats, fewer, calls_each=1, **labels):
    "Time the runs in turn: a row of medians and spreads for each, in milliseconds a call."
    seconds = in_turn(runs, repeats, fewer, progress=False)
    print(" ".join(str(v) for v in labels.values()), file=sys.stderr)
    return [
        {
            **labels,
            "impl": name,
            "ms": 1e3 * median(s) / calls_each,
            "low": 1e3 * min(s) / calls_each,
            "high": 1e3 * max(s) / calls_each,
        }
        for name, s in seconds.items()
    ]


def on_cpu(repeats: int) -> list[dict]:
    impls, rows = (
        {
            "naive": ours("naive"),
            "tiled": ours("tiled"),
            "auto": ours("auto"),
            "PyTorch, usual call": usual,
        },
        [],
    )
    for name, dtype in DTYPES.items():
        for t in (256, 512, 1024, 2048):
            x, slow = (
                tensors(1, HEADS, KV_HEADS, t, t, SIZE, dtype, "cpu"),
                {"naive": 5, "tiled": 5} if t > 1000 else {},
            )
            with torch.inference_mode():
                rows += rows_of(
                    {n: lambda f=f: f(*x[:3]) for n, f in impls.items()},
                    repeats,
                    slow,
                    **{"pass": "forward", "dtype": name, "tokens": t},
                )
            if t <= 1024:
                rows += rows_of(
                    {n: there_and_back(f, *x) for n, f in impls.items()},
                    repeats,
                    slow,
                    **{"pass": "forward and backward", "dtype": name, "tokens": t},
                )
        for t in (256, 1024, 4096):
            q, _, _, _ = tensors(1, HEADS, KV_HEADS, 1, 1, SIZE, dtype, "cpu")
            k, v = torch.randn(2, 1, KV_HEADS, t, SIZE).to(dtype)
            with torch.inference_mode():
                runs = {
                    n: calls(lambda f=f: f(q, k, v), 100) for n, f in impls.items() if n != "tiled"
                }
                rows += rows_of(
                    runs, repeats, {}, 100, **{"pass": "decode", "dtype": name, "tokens": t}
                )
    return rows


# GPU -----------------------------------------------------------------------------------------------------------------


def pinned(backend):
    "PyTorch's function with one kernel, or None where that kernel refuses the input."

    def f(q, k, v):
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    return f


def flex():
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    compiled, masks = torch.compile(flex_attention), {}

    def f(q, k, v):
        t = q.shape[2]
        if t not in masks:
            masks[t] = create_block_mask(lambda b, h, i, j: i >= j, None, None, t, t)
        return compiled(q, k, v, block_mask=masks[t])

    return f


def milliseconds(f) -> float:
    import triton

    return triton.testing.do_bench(f, warmup=50, rep=200, return_mode="median")


def matmul_peak(dtype) -> float:
    "TFLOP/s of the fastest of some large matrix products: what this chip does at its best."
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


def try_ms(f):
    try:
        return milliseconds(f)
    except Exception as e:  # a kernel that refuses, or runs out of memory, is a result too
        print(f"  {type(e).__name__}: {str(e).splitlines()[0][:100]}", file=sys.stderr)
        return None


def on_gpu(lengths) -> dict:
    dtype, rows, pages = torch.bfloat16, [], []
    peak, copy = matmul_peak(dtype), copy_peak()
    impls = {
        "ours": ours("triton"),
        "FlashAttention-2 (SDPA)": pinned(SDPBackend.FLASH_ATTENTION),
        "cuDNN (SDPA)": pinned(SDPBackend.CUDNN_ATTENTION),
        "efficient (SDPA)": pinned(SDPBackend.EFFICIENT_ATTENTION),
        "FlexAttention": flex(),
    }
    for d, h in ((64, 32), (128, 16)):
        for t in lengths:
            b = max(1, 16384 // t)
            x = tensors(b, h, h, t, t, d, dtype, "cuda")
            flops = 2 * 2 * b * h * t * t * d / 2  # two products, half of the matrix
            for direction, work in (("forward", flops), ("backward", 2.5 * flops)):
                for name, f in impls.items():
                    run = (lambda f=f: f(*x[:3])) if direction == "forward" else None
                    try:
                        run = run or only_back(f, *x)
                    except Exception:
                        continue  # the forward pass said why
                    if (ms := try_ms(run)) is None:
                        continue
                    tflops = work / ms / 1e9
                    rows.append(
                        {
                            "pass": direction,
                            "size": d,
                            "tokens": t,
                            "batch": b,
                            "impl": name,
                            "ms": ms,
                            "tflops": tflops,
                            "of matmul": tflops / peak,
                        }
                    )
            print(table([r for r in rows if (r["size"], r["tokens"]) == (d, t)]), flush=True)
    for group in (1, 4, 8):
        for b in (1, 8, 64):
            for n in (1024, 8192, 32768):
                hk, d, size = 8, 128, 16
                if 2 * b * n * hk * d * 2 > 40e9:
                    continue
                blocks = b * n // size
                k_pool, v_pool = torch.randn(2, blocks, hk, size, d, device="cuda", dtype=dtype)
                block_table = torch.randperm(blocks, device="cuda").int().view(b, -1)
                lengths_, q = (
                    torch.full((b,), n, device="cuda"),
                    torch.randn(b, hk * group, 1, d, device="cuda", dtype=dtype),
                )
                ms = milliseconds(
                    lambda: triton_paged_attention(q, k_pool, v_pool, block_table, lengths_)
                )
                gbs = 2 * b * n * hk * d * 2 / ms / 1e6
                pages.append(
                    {
                        "queries a key head": group,
                        "batch": b,
                        "tokens": n,
                        "us": ms * 1e3,
                        "GB/s": gbs,
                        "of copy": gbs / copy,
                        "cache (MB)": 2 * b * n * hk * d * 2 / 1e6,
                    }
                )
                del k_pool, v_pool
    print(table(pages))
    shown = tables(rows, "tflops", "TFLOP/s") | {"Paged decoding": pages}
    return {"tables": shown, "rows": rows, "paged": pages, "matmul_tflops": peak, "copy_gbs": copy}


def tables(rows, value: str, unit: str) -> dict[str, list[dict]]:
    "The rows with a column for each implementation: a table for each pass and kind."
    found = {}
    for r in rows:
        title = ", ".join(
            [
                r["pass"].capitalize(),
                *(
                    str(r[k]) if k == "dtype" else f"heads of {r[k]}"
                    for k in ("dtype", "size")
                    if k in r
                ),
                unit,
            ]
        )
        found.setdefault(title, {}).setdefault(r["tokens"], {"tokens": r["tokens"]})[r["impl"]] = r[
            value
        ]
    return {title: list(by_tokens.values()) for title, by_tokens in found.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="rounds on a CPU (default 9)")
    parser.add_argument(
        "--tokens", type=int, nargs="+", default=[2048, 4096, 8192, 16384], help="lengths on a GPU"
    )
    args = parser.parse_args()
    if torch.cuda.is_available():
        save("attention", on_gpu(args.tokens), packages=("torch", "triton"))
    else:
        rows = on_cpu(args.repeats)
        print(table(rows))
        save(
            "attention",
            {"repeats": args.repeats, "tables": tables(rows, "ms", "ms"), "rows": rows},
            packages=("torch",),
        )
