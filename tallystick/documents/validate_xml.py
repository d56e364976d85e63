"""
Validate an electronic invoice by the official rules of EN 16931, which are published as an XSLT.

The rules are not shipped: whoever wants them run has the file, and the optional extra ``validate`` (SaxonC).
"""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tallystick.documents.errors import RulesMissing

_SAXON = "saxonche"
_FAILED = re.compile(r"<svrl:failed-assert\b(?P<attributes>[^>]*)>\s*<svrl:text>(?P<text>.*?)</svrl:text>", re.DOTALL)
_ATTRIBUTE = re.compile(r"\b(id|flag|location)=\"([^\"]*)\"")


class BrokenRule(NamedTuple):
    """A rule that an invoice breaks."""

    rule: str
    """Such as ``BR-CO-15``."""
    flag: str
    """``fatal`` or ``warning``."""
    text: str


def validate_xml(xml: bytes, rules: Path) -> list[BrokenRule]:
    """
    Return the rules that an invoice breaks; none, and it is one of EN 16931.

    Raises:
        RulesMissing: the rules are not there, or what runs them is not installed (``documents.rules_missing``).
    """
    if find_spec(_SAXON) is None:
        raise RulesMissing(reason="install the optional extra: pip install 'tallystick[validate]'")
    if not rules.is_file():
        raise RulesMissing(reason=f"there is no file {rules}")
    saxon = import_module(_SAXON)
    with saxon.PySaxonProcessor(license=False) as processor:
        try:
            compiled = processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(rules))
            report = compiled.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml.decode()))
        except saxon.PySaxonApiError as error:
            raise RulesMissing(reason=f"{rules} is no XSLT that can be run") from error
    return read_report(report or "")


def read_report(report: str) -> list[BrokenRule]:
    """Read the broken rules out of a report in the Schematron Validation Report Language."""
    broken = []
    for found in _FAILED.finditer(report):
        attributes = dict(_ATTRIBUTE.findall(found["attributes"]))
        text = " ".join(found["text"].split())
        broken.append(BrokenRule(attributes.get("id", ""), attributes.get("flag", "fatal"), text))
    return broken
