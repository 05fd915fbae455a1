"""YAML that says each thing once: no key twice, and no more values than a person would write."""

import yaml

MOST_VALUES = 10_000
"""Values in one text, those that an alias repeats counted each time. A configuration has a hundred."""


def load_yaml(text: str) -> object:
    """Read YAML as plain values.

    Raises:
        yaml.YAMLError: It is not YAML.
        ValueError: A mapping has a key twice, a value is not what its tag or its form says, or aliases make
            more than `MOST_VALUES` values of the text, as one that stands inside of what it repeats does.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _check(root)
        return loader.construct_document(root)
    except (ArithmeticError, AttributeError, LookupError) as error:
        # Of `!!bool maybe`, `!!float ''` or 1:59:59: ... :59.5, say, PyYAML makes no error of its own.
        raise ValueError(f"a value is not what its tag or its form says ({error!r})") from error
    finally:
        loader.dispose()


def _check(root: yaml.Node) -> None:
    # On the tree of nodes, where an alias still is one object however often it stands there.
    waiting, values = [root], 1
    while waiting:
        inside = _inside(waiting.pop())
        values += len(inside)
        if values > MOST_VALUES:
            raise ValueError(
                f"it has more than {MOST_VALUES:,} values, or an alias (*) that stands in what it repeats; "
                "write it without aliases"
            )
        waiting += inside


def _inside(node: yaml.Node) -> list[yaml.Node]:
    """List the keys and values, or the entries, that are directly inside a node."""
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _check_keys(mapping: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in mapping.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise ValueError(
                    f"line {key.start_mark.line + 1} sets {key.value[:100]!r} again; keep one of the two"
                )
            seen.add(key.value)
