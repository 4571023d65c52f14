"""The site's configuration.

`make docs` stages what Sphinx reads in _build/src (course_tools/site.py); course_site.py adds what
Sphinx lacks.
"""

import sys
from pathlib import Path

here = Path(__file__).parent
sys.path[:0] = [str(here), str(here.parent)]
from course_tools.site import repository_url  # noqa: E402

project = "llm_course"
author = "The llm_course authors"
copyright = "the llm_course authors, Apache License 2.0"
language = "en"
extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton", "course_site"]
exclude_patterns = ["_extra"]
templates_path = ["_templates"]
repository = repository_url(here.parent)

# Notebooks come with their outputs: nothing is executed here.
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [("html", "image/png", 0)]
myst_enable_extensions = [
    "alert",
    "amsmath",
    "attrs_block",
    "attrs_inline",
    "colon_fence",
    "deflist",
    "dollarmath",
]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.strikethrough"]
python_use_unqualified_type_names = True  # links go to a module's class, the text is its name

add_module_names = False
python_maximum_signature_line_length = 60
python_display_short_literal_types = True
toc_object_entries_show_parents = "hide"
html_math_renderer = "mathml"

html_theme = "sphinx_book_theme"
html_title = "llm_course"
# Where the site will live, as https://example.org/llm_course/: social cards want whole addresses.
html_baseurl = ""
html_static_path = ["_static"]
html_extra_path = ["_build/src/_extra"]
html_css_files = ["course.css"]
html_js_files = [("course.js", {"defer": "defer"})]
html_copy_source = False
html_use_index = False  # api/index lists every name
html_domain_indices = False
html_show_sphinx = False
html_context = {"default_mode": "auto"}
html_favicon = "_static/favicon.svg"
html_sidebars = {"**": ["navbar-logo.html", "search-button-field.html", "course-nav.html"]}
html_theme_options = {
    "logo": {"text": "llm_course"},
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "back_to_top_button": False,
    "footer_content_items": ["copyright.html"],
    "search_bar_text": "Search the course",
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
} | ({"repository_url": repository, "use_repository_button": True} if repository else {})
copybutton_selector = "div.highlight pre"
copybutton_prompt_text = r">>> |\.\.\. |\$ |In \[\d*\]: "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
copybutton_exclude = ".linenos, .go, .gp"
