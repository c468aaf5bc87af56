"""A template sees the fields of its page's context and nothing else, and uses each of them."""

from dataclasses import fields

import pytest
from jinja2 import meta, nodes

from prebill.console.render import TEMPLATES, environment


def names_used(template: str) -> set[str]:
    """Undeclared names of a template and of those that it extends; imported macros see none."""
    env = environment()
    source, _, _ = env.loader.get_source(env, template)
    tree = env.parse(source)
    used = meta.find_undeclared_variables(tree)
    for imported in tree.find_all(nodes.FromImport):
        used -= set(imported.names)
    for parent in tree.find_all(nodes.Extends):
        used |= names_used(parent.template.value)
    return used


@pytest.mark.parametrize("page", TEMPLATES, ids=lambda page: page.__name__)
def test_template_uses_exactly_the_fields_of_its_context(page: type) -> None:
    assert {one.name for one in fields(page)} == names_used(TEMPLATES[page])


def test_every_template_belongs_to_a_page() -> None:
    listed = set(environment().list_templates())
    assert set(TEMPLATES.values()) == {
        name for name in listed if not name.startswith("_") and name != "base.html"
    }


@pytest.mark.parametrize("name", environment().list_templates())
def test_no_inline_script_or_style(name: str) -> None:
    source, _, _ = environment().loader.get_source(environment(), name)
    assert "style=" not in source
    assert "<style" not in source
    assert " on" + "click" not in source
    assert source.count("<script") == source.count('<script type="module" src=')
