from dermseg.markdown import escaped


def test_no_text_is_markup():
    assert escaped("a_b *c* `d` <e> [f](g) h|i \\j") == (r"a\_b \*c\* \`d\` \<e\> \[f](g) h\|i \\j")


def test_lines_do_not_end_a_cell():
    assert escaped("one\n  two\tthree ") == "one two three"
