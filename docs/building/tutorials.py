"""Show the tutorials, which are notebooks as text, as pages of the site."""

import re
from typing import Any

FOLDER = "tutorials/"


def page(text: str, name: str) -> str:
    r"""Return a notebook in jupytext's percent format as Markdown.

    >>> print(page("# ---\n# jupyter:\n# ---\n\n# %% [markdown]\n# # A title\n#\n# Words.\n\n# %%\n1 + 1\n", "sum.py"))
    # A title
    <BLANKLINE>
    Words.
    <BLANKLINE>
    ```python
    1 + 1
    ```
    <BLANKLINE>
    The page is a notebook as text, [sum.py](sum.py): Jupyter opens it where jupytext is installed.
    <BLANKLINE>
    """
    _, *cells = re.split(r"^# %%", text, flags=re.MULTILINE)
    parts = []
    for cell in cells:
        kind, _, content = cell.partition("\n")
        content = content.strip()
        is_text = kind.strip() == "[markdown]"
        parts.append(re.sub(r"^# ?", "", content, flags=re.MULTILINE) if is_text else f"```python\n{content}\n```")
    parts.append(f"The page is a notebook as text, [{name}]({name}): Jupyter opens it where jupytext is installed.\n")
    return "\n\n".join(parts)


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each tutorial; called by MkDocs."""
    from mkdocs.structure.files import File

    for source in list(files):
        if source.src_uri.startswith(FOLDER) and source.src_uri.endswith(".py"):
            content = page(source.content_string, source.name + ".py")
            files.append(File.generated(config, source.src_uri.removesuffix(".py") + ".md", content=content))
    return files
