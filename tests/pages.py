"""A page as its reader meets it: text, headings, cells and attributes, by Python's own parser."""

from html.parser import HTMLParser

VOID = {"meta", "br", "img", "link", "hr", "input", "wbr"}


class Page(HTMLParser):
    """The elements of a page: tag, attributes and all text within."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements, self._open = [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        element = [tag, dict(attributes), ""]
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def texts(self, tag):
        return [text.strip() for name, _, text in self.elements if name == tag]

    def tags(self):
        return {tag for tag, _, _ in self.elements}

    def attributes(self):
        return {name for _, attributes, _ in self.elements for name in attributes}

    def rows(self, table="layers"):
        """The texts of the cells of each row in a table's body."""
        found, inside = [], False
        for tag, attributes, text in self.elements:
            if tag == "table":
                inside = attributes.get("id") == table
            elif tag == "tr" and inside:
                found.append([])
            elif tag in ("td", "th") and inside and "data-value" in attributes:
                found[-1].append(text.strip())
        return [row for row in found if row]
