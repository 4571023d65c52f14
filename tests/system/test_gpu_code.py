"""The GPU's kernels compile for GPUs that aren't here, and their loops are what the page counts."""

import pytest

from course_tools.gpu_code import longest_loop, machine_code

pytest.importorskip("triton")
SIZES = {"n": "i32", "n_blocks": "i32", "groups": "i32", "part": "i32"}
FEW = {"x": "*bf16", "words": "*i32", "halfs": "*fp16", "out": "*fp32"} | SIZES
MANY = {"x": "*bf16", "codes": "*u8", "words": "*i32", "out": "*bf16"} | SIZES


@pytest.mark.parametrize("capability", [80, 90])
def test_both_kernels_compile_for_gpus(capability):
    requests = []
    for bits in (4, 8):
        constants = {"BITS": bits, "N": 2, "STEPS": 32}
        requests.append({"kernel": "_few_tokens", "types": FEW, "constants": constants})
        constants = {"BITS": bits, "BM": 16, "BLOCKS": 4}
        requests.append({"kernel": "_many_tokens", "types": MANY, "constants": constants})
    types = MANY | {"x": "*fp32", "out": "*fp32"}
    constants = {"BITS": 4, "BM": 32, "BLOCKS": 4}
    requests.append({"kernel": "_many_tokens", "types": types, "constants": constants})
    made = machine_code("llm_course.compression.gpu", requests, capability=capability)
    for request, code in zip(requests, made):
        barriers = sum(name.startswith("BAR") for name in code["loop"])
        if request["kernel"] == "_few_tokens":
            assert "ld.global.v4.b32" in code["ptx"], "codes don't come in loads of 16 bytes"
            assert barriers == 0, "threads wait for each other within the loop"
        elif request["types"]["x"] == "*bf16":
            assert any("MMA" in name for name in code["loop"]), "no product on tensor cores"
        assert code["loop"] and code["shared"] < 48_000
        assert 20 < code["registers"] <= 255


def test_what_does_not_compile_is_an_error():
    with pytest.raises(RuntimeError, match="not compiled"):
        machine_code("llm_course.compression.gpu", [{"kernel": "_none"}], capability=90)


def test_the_longest_loop_is_found():
    lines = ["--:1\tMOV R1;", "LBB1:", "--:2\tLDG R2, [R3];", "08:1\t@P0 FFMA R1, R2;"]
    lines += ["\t@P1 BRA LBB1;", "LBB2:", "\tBRA LBB2;", "\tEXIT;"]
    assert longest_loop("\n".join(lines)) == ["LDG", "FFMA", "BRA"]
