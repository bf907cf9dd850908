"""How the pages are built: ``make docs``. Nothing is fetched, warnings are errors."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import skanticipate  # noqa: E402  the checkout, not what is installed

project = "skanticipate"
author = "the developers of skanticipate"
project_copyright = author
version = release = skanticipate.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "benchmark_results",
    "linked_names",
    "mathml",
    "own_members",
    "repository_links",
    "trimmed_blocks",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "auto_examples/**/*.ipynb"]
nitpicky = True
# What scikit-learn and torch document, and words in the types of parameters.
nitpick_ignore_regex = [("py:.*", r"(sklearn|torch|numpy|np|h5py|zarr)\..*")]

# Text in single quotes of a docstring is code, and linked where it names something.
default_role = "code"
highlight_language = "none"  # blocks of docstrings: formulae and doctests
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
autosummary_generate = True
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "within_subsection_order": "example_file.QuickStartFirst",
    "abort_on_example_error": True,
    "reset_modules": ("matplotlib", "example_file.tell_file"),
    "download_all_examples": False,
    "write_computation_times": False,  # a table with scripts from elsewhere
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 5,
    "parallel": 2,
}

html_theme = "pydata_sphinx_theme"
html_title = "skanticipate"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "skanticipate"},
    "navbar_end": ["theme-switcher"],
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
}
html_sidebars = {"*": []}  # pages at the top have no others beside them
