"""The chart's README is made from the values, and is not older than they."""

import shutil
import subprocess

import yaml
from chart.rendering import CHART, ROOT, demand


def test_the_readme_is_what_helm_docs_makes_of_the_values(tmp_path):
    helm_docs = demand("helm-docs", ROOT / ".helm" / "bin" / "helm-docs")
    copy = tmp_path / "pilot"
    shutil.copytree(CHART, copy)
    subprocess.run([helm_docs, "--chart-search-root", str(copy), "--log-level", "error"], check=True, timeout=60)
    assert (copy / "README.md").read_text() == (CHART / "README.md").read_text(), "make chart"


def test_every_section_of_the_values_has_a_row():
    readme = (CHART / "README.md").read_text()
    for section in yaml.safe_load((CHART / "values.yaml").read_text()):
        assert f"| {section}" in readme, section
