"""The linear rules by name: every module of this folder that defines `RULE`."""

import pkgutil
from collections.abc import Mapping
from importlib import import_module

from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.rules.rule import Options, Rule

_MODULES = (import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))

RULES: Mapping[str, Rule] = {
    module.RULE.name: module.RULE for module in _MODULES if isinstance(getattr(module, "RULE", None), Rule)
}


def rule_named(name: str, options: Options) -> Rule:
    """The rule, if it exists and reads all of these options.

    Raises:
        MergeRefused: naming the rules there are, or the options that this one reads.
    """
    if name not in RULES:
        raise MergeRefused(f"rule {name!r} is unknown; choose one of {', '.join(sorted(RULES))}")
    rule = RULES[name]
    for option in sorted(set(options) - rule.reads):
        known = f"it reads {', '.join(sorted(rule.reads))}" if rule.reads else "it reads no options"
        raise MergeRefused(f"rule {name!r} does not read the option {option!r}: {known}; leave it out")
    return rule
