"""What is compiled again after an edit: only what the edit touches."""

from pathlib import Path

import pytest

from compiling import modules

HEAD = """\
#ifndef MYPYC_LIBRT_INTERNAL_respdyn_H
#define MYPYC_LIBRT_INTERNAL_respdyn_H
#include <Python.h>
#include "__native_respdyn.h"

int CPyGlobalsInit(void);

extern PyObject *CPyStatics[9];
#ifndef MYPYC_DECLARED_tuple_T1I
#define MYPYC_DECLARED_tuple_T1I
typedef struct tuple_T1I {
    CPyTagged f0;
} tuple_T1I;
#endif

extern PyTypeObject *CPyType_one___A;
typedef struct {
    PyObject_HEAD
    tuple_T1I _pair;
} oneAObject;
extern PyObject *CPyDef_one___f(PyObject *cpy_r_self, tuple_T1I cpy_r_b);
extern PyObject *CPyDef_two___g(void);
#endif
"""
EMPTY = """\
#ifndef MYPYC_NATIVE_respdyn_H
#define MYPYC_NATIVE_respdyn_H
#include <CPy.h>
#endif
"""
ONE = """#include "__native_respdyn.h"
int one(void) { oneAObject *a; x = CPyStatics[3]; /* 'a' */ }
"""
TWO = """#include "__native_respdyn.h"
int two(void) { return CPyDef_two___g() == CPyStatics[4]; /* b'' */ }
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A directory with what mypyc would write."""
    for name, text in {
        "__native_respdyn.h": EMPTY, "__native_internal_respdyn.h": HEAD,
        "__native_respdyn.c": "PyObject *CPyStatics[9];\n", "__native_one.c": ONE,
        "__native_two.c": TWO,
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def texts(directory: Path) -> dict[str, str]:
    """What would be compiled."""
    sources = {path.name: path for path in directory.glob("*.c")}
    return modules._apart(sources, directory, [str(directory)])


def test_a_file_gets_what_it_names_and_what_that_needs(made: Path) -> None:
    one, two = texts(made)["__native_one.c"], texts(made)["__native_two.c"]
    assert "} oneAObject;" in one and "} tuple_T1I;" in one and "CPyDef_two___g" not in one
    assert "CPyDef_two___g(void);" in two and "oneAObject" not in two
    assert "#include <CPy.h>" in one and "__native_respdyn.h" not in one


def test_another_declaration_changes_only_who_names_it(made: Path) -> None:
    before = texts(made)
    (made / "__native_internal_respdyn.h").write_text(
        HEAD.replace("    tuple_T1I _pair;", "    tuple_T1I _pair;\n    char _more;"))
    after = texts(made)
    assert {name for name in after if after[name] != before[name]} == {
        "__native_respdyn.c", "__native_one.c"}


def test_a_literal_more_changes_no_other_file(made: Path) -> None:
    before = texts(made)
    (made / "__native_two.c").write_text(TWO.replace("[4]", "[5]"))
    after = texts(made)
    assert {name for name in after if after[name] != before[name]} == {"__native_respdyn.c"}
    assert "CPyStatics + 5 * 8" in after["__native_respdyn.c"]


def test_a_header_that_another_file_needs_changes_only_that_one(made: Path) -> None:
    before = texts(made)
    (made / "pair_extra_ops.h").write_text("PyObject *CPyDef_two___g(void);\n")
    (made / "__native_internal_respdyn.h").write_text(
        HEAD.replace("#include", '#include "pair_extra_ops.h"\n#include', 1))
    after = texts(made)
    assert {name for name in after if after[name] != before[name]} == {
        "__native_respdyn.c", "__native_two.c"}
    assert '#include "pair_extra_ops.h"' in after["__native_two.c"]


def test_names_that_are_numbered_through_all_files_change_no_other_file(made: Path) -> None:
    body = "int two(void) { PyObject *__tmp7 = x; goto __LL8; __LL8: use(__tmp7); }\n"
    (made / "__native_two.c").write_text(body)
    before = texts(made)
    (made / "__native_two.c").write_text(body.replace("tmp7", "tmp91").replace("LL8", "LL92"))
    assert texts(made) == before
    assert before["__native_two.c"].count("__tmp0") == 2


def test_what_is_missing_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nonexistent/cc")
    assert modules.missing().startswith("a C compiler (/nonexistent/cc)")
    assert modules.missing().endswith("apt install gcc")


def test_a_compiler_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(modules.CompileError):
        modules._make(tmp_path / "a.o", ["false"])
    assert not [*tmp_path.iterdir()]


def test_the_modules_listed_are_compiled() -> None:
    listed = modules.modules(Path(__file__).parents[2])
    assert "respdyn/node.py" in listed and len(listed) > 50
