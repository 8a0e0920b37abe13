"""The report's page."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import gaussian, perturbed
from pages import Page

import nfa
from nfa.features.columns import columns, names
from nfa.report import render, sentences, write
from nfa.report.words import over_layers


@pytest.fixture(scope="module")
def moved():
    """An audit with everything: init, targets, named inputs."""
    net, X = nfa.MLP(6, [8, 5], n_outputs=3).double(), gaussian(40, 6)
    y = (torch.arange(len(X)) % 3).numpy()
    data = nfa.Dataset(X.numpy(), y, name="rows", feature_names=tuple("abcdef"))
    return nfa.audit(net, data, perturbed(net), name="net")


@pytest.fixture(scope="module")
def source(moved):
    """That audit's page."""
    return render(moved)


def drawn(page):
    """All text in the figures."""
    return [text for text in page.texts("text") if text]


def test_the_page_says_what_was_audited_and_how(moved, source):
    page = Page(source)
    facts = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    assert (facts["Network"], facts["Data"], facts["Rows measured"]) == ("net", "rows", "all 40 rows")
    assert (facts["Gradients of"], facts["Random probes"], facts["Seed"]) == ("logits (3)", "none: exact", "0")
    assert facts["Score"] == f"accuracy {moved.score.value:.3f} on all 40 rows"
    assert facts["A constant answer scores"] == f"{moved.score.baseline:.3f}"
    assert facts["Before training"] == f"accuracy {moved.init_score.value:.3f}"
    assert facts["Versions"] == f"nfa {moved.about.nfa_version}, torch {moved.about.torch_version}"


def test_notes_and_what_was_not_measured_are_said(moved):
    about = replace(moved.about, notes=("Inputs scaled.",), skipped=({"name": "conv", "kind": "Conv2d"},))
    moved = replace(moved, about=about)
    page = Page(render(moved))
    assert "Inputs scaled." in page.texts("li")
    assert "conv (Conv2d)" in page.texts("dd")


def test_the_page_holds_every_sentence_column_and_definition(moved, source):
    page = Page(source)
    first, *layers = sentences(moved)
    said = [nfa.report.verdict(moved).reason, *over_layers(moved)]
    assert " ".join(said) == first
    assert set(said + layers) <= set(page.texts("p") + page.texts("li"))
    assert [text for text in page.texts("button") if text in names()] == list(names())
    assert set(names()) <= set(page.texts("dt"))
    assert moved.methods() in page.texts("pre")


def test_the_table_holds_every_number(moved, source):
    rows = Page(source).rows()
    assert len(rows) == len(moved)
    for row, layer in zip(rows, moved, strict=True):
        for text, column in zip(row, names(), strict=True):
            value = layer[column]
            if isinstance(value, float):
                assert text == "–" if np.isnan(value) else float(text) == pytest.approx(value, rel=1e-3)
            elif not isinstance(value, bool):
                assert text == str(value)


def test_with_a_loss_the_table_has_its_columns(small):
    net, X = small
    page = Page(render(nfa.audit(net, (X, torch.arange(len(X)) % 3), loss="cross_entropy")))
    assert {"fact_cosine", "fact_lambda", "fact_residual", "fact_rest"} <= set(page.texts("button"))
    assert "cross_entropy" in page.texts("dd")


def test_nothing_is_fetched(source):
    addresses = re.findall(r"(?:https?:)?//[^\s\"'<>)]+", source)
    assert {address for address in addresses if "www.w3.org" not in address and address.startswith("http")} == set()
    page = Page(source)
    assert not page.tags() & {"link", "iframe", "object", "embed", "base", "form", "img"}
    sources = [
        value
        for _, attributes, _ in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "action")
    ]
    assert all(value.startswith(("#", "data:image/png")) for value in sources)


def test_hostile_strings_stay_text(small):
    class Hostile(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("<script>alert(1)</script>", torch.nn.Linear(4, 2))

        def forward(self, x):
            return next(iter(self.children()))(x)

    names = ("<img src=x onerror=alert(1)>", "\"><svg onload='x'>", "$\\frac{$", "a\x00\ud800\nb")
    data = nfa.Dataset(gaussian(9, 4).numpy(), feature_names=names, name="</title><b>")
    audit = nfa.audit(Hostile(), data, name="<b>net</b>")
    source = render(audit)
    page = Page(source)
    assert source.count("<script") == 1
    assert not page.tags() & {"b", "img"}
    assert not {name for name in page.attributes() if name.startswith("on")}
    assert page.texts("title") == ["Audit of <b>net</b>"]
    assert page.rows()[0][1] == "<script>alert(1)</script>"
    assert "</title><b>" in page.texts("dd")
    assert {"$\\frac{$", "a???b"} <= set(drawn(page))


def test_letters_that_no_file_can_hold_do_not_stop_the_writing(small, tmp_path):
    audit = nfa.audit(*small, name="half \ud800 pair")
    assert "half ? pair" in write(audit, tmp_path).read_text(encoding="utf-8")


def test_a_loaded_audit_gives_the_same_page(moved, source, tmp_path):
    moved.save(tmp_path)
    assert render(nfa.Audit.load(tmp_path)) == source


def test_named_inputs_are_bar_charts(source):
    page = Page(source)
    assert set("abcdef") <= set(drawn(page))
    assert "share of the trace" in drawn(page)
    labels = [attributes["aria-label"] for tag, attributes, _ in page.elements if tag == "svg"]
    assert "NFM of layer layers.0 as a heat map of 6 x 6 entries" in labels
    assert "AGOP of layer layers.0 as a heat map of 6 x 6 entries" in labels


def test_a_hidden_layer_as_wide_as_the_inputs_takes_no_names_and_no_shape():
    X = gaussian(20, 6, dtype=torch.float32).numpy()
    data = nfa.Dataset(X, feature_names=tuple("abcdef"), feature_shape=(2, 3))
    page = Page(render(nfa.audit(nfa.MLP(6, [6, 6], n_outputs=2), data)))
    pictures = [
        attributes["aria-label"]
        for tag, attributes, _ in page.elements
        if tag == "svg" and attributes["aria-label"].endswith("as a picture")
    ]
    assert pictures
    assert all("layers.0" in label for label in pictures)
    assert "unit 5" in drawn(page)
    assert not set("abcdef") & set(drawn(page))


def test_inputs_without_names_have_numbers(small):
    assert "input 5" in drawn(Page(render(nfa.audit(*small))))


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (3, 1, 2)])
def test_images_are_pictures(small, shape):
    net, X = small
    page = Page(render(nfa.audit(net, nfa.Dataset(X.numpy(), feature_shape=shape), perturbed(net))))
    labels = [attributes["aria-label"] for tag, attributes, _ in page.elements if tag == "svg"]
    assert "Diagonal of the AGOP of layer layers.0 as a picture" in labels
    assert "Eigenvector 1 of the NFM of layer layers.0 as a picture" in labels
    # Diagonal and four eigenvectors of both, and the diagonal before training, each with its colour bar.
    assert len(page.texts("image")) == 22
    assert page.texts("h3") == [
        "init",
        "diagonal",
        *(f"eigenvector {number}" for number in range(1, 5)),
    ]


def test_a_sample_stands_beside_the_pictures_of_the_layer_that_takes_it(small):
    net, X = small
    audit = nfa.audit(net, nfa.Dataset(X.numpy(), feature_shape=(2, 3)), perturbed(net))
    page = Page(render(audit, X[0]))
    labels = [attributes["aria-label"] for tag, attributes, _ in page.elements if tag == "svg"]
    assert labels.count("A sample of the data as a picture") == 1
    assert "a sample and init" in page.texts("h3")
    with pytest.raises(nfa.InputError, match=r"sample: 5 entries, but layer layers.0 has 6 inputs"):
        render(audit, X[0, :5])
    # Other inputs are no pictures, and have no sample beside them.
    assert "A sample of the data" not in render(nfa.audit(net, X), X[0])


def test_verdicts_are_chips_at_the_top_and_at_each_layer(moved, source):
    page = Page(source)
    chips = [
        (text, attributes["class"]) for tag, attributes, text in page.elements if "chip" in attributes.get("class", "")
    ]
    words = [layer["verdict"] for layer in moved]
    expected = [(word, f"chip {word.replace(' ', '-')}") for word in words]
    assert [chip for chip in chips if chip[1] != "chips"] == expected * 2
    first = source.index('class="chips"')
    assert first < source.index("<svg") < source.index('id="layer-0"') < source.index("<table")


def test_sentences_are_folded_behind_their_layer_and_the_glossary_comes_last(moved, source):
    page = Page(source)
    folded = [
        text for tag, attributes, text in page.elements if tag == "details" and attributes.get("class") == "layer"
    ]
    assert len(folded) == len(moved)
    for text, layer, sentence in zip(folded, moved, sentences(moved)[1:], strict=True):
        assert layer["name"] in text
        assert f"alignment {layer['alignment']:.2f}" in text or layer["alignment"] != layer["alignment"]
        assert sentence in text
    assert page.texts("summary")[-1] == "Glossary"
    assert source.index("<summary>Glossary") > source.index("</table>")


def test_the_list_of_contents_leads_to_sections_that_are_there(source):
    page = Page(source)
    ids = {attributes["id"] for _, attributes, _ in page.elements if "id" in attributes}
    links = [attributes["href"] for tag, attributes, _ in page.elements if tag == "a"]
    assert len(links) > 8
    assert {link.removeprefix("#") for link in links} <= ids


def test_ten_columns_are_shown_at_first():
    assert [column.name for column in columns() if column.main] == [
        "name", "verdict", "alignment", "alignment_null", "alignment_z", "cosine", "rotated_cosine", "ci_low",
        "ci_high", "moved",
    ]  # fmt: skip


def test_charts_are_of_one_height(source):
    sizes = {
        tuple(map(float, attributes["viewbox"].split()[2:]))[1]
        for tag, attributes, _ in Page(source).elements
        if tag == "svg" and not attributes["aria-label"].endswith("as a picture")
    }
    assert len(sizes) == 1


def test_pictures_are_of_one_size(small):
    net, X = small
    page = Page(render(nfa.audit(net, nfa.Dataset(X.numpy(), feature_shape=(2, 3)), perturbed(net))))
    pictures = [attributes for tag, attributes, _ in page.elements if tag == "image"]
    sizes = {(each["width"], each["height"]) for each in pictures}
    assert len(pictures) == 22
    assert len(sizes) == 2  # pictures, and colour bars


def test_a_trivial_head_has_no_chart(small):
    found = nfa.audit(*small)
    assert found[-1]["trivial"]
    assert found[-1]["d_in"] <= 32
    labels = [attributes["aria-label"] for tag, attributes, _ in Page(render(found)).elements if tag == "svg"]
    assert any(f"of layer {found[1]['name']}" in each for each in labels)
    assert not any(f"of layer {found[-1]['name']}" in each for each in labels)


def test_a_shape_that_is_no_picture_s_is_a_bar_chart(small):
    net, X = small
    page = Page(render(nfa.audit(net, nfa.Dataset(X.numpy(), feature_shape=(6, 1, 1, 1)))))
    assert "input 5" in drawn(page)


def test_a_first_layer_that_is_not_at_the_inputs_takes_no_names(moved):
    moved = replace(moved, about=replace(moved.about, feature_names=tuple("abcdefg")))
    assert "input 5" in drawn(Page(render(moved)))


def test_every_figure_says_what_it_shows(moved, source):
    page = Page(source)
    labels = [attributes for tag, attributes, _ in page.elements if tag == "svg"]
    assert all(each["role"] == "img" and len(each["aria-label"]) > 20 for each in labels)
    similar = next(each["aria-label"] for each in labels if each["aria-label"].startswith("Cosine of NFM and AGOP,"))
    assert f"layers.0, NFM and AGOP {moved[0]['cosine']:.2f}" in similar
    assert all(page.texts("figcaption"))


def test_a_dead_layer_and_a_zero_weight_have_a_page():
    net = nfa.MLP(6, [8, 5], n_outputs=3).double()
    with torch.no_grad():
        net.layers[1].weight.zero_()
    page = Page(render(nfa.audit(net, gaussian(20, 6))))
    assert any("the weight is zero" in text for text in page.texts("li"))
    assert any("dead" in text for text in page.texts("li"))


def test_an_audit_without_init_and_targets_has_no_empty_figures(small):
    net, X = small
    page = Page(render(nfa.audit(net, X)))
    assert "Before training" not in page.texts("dt")
    assert "NFM and init's NFM" not in drawn(page)
    assert "init's NFM" not in drawn(page)
    assert "unknown" in page.texts("dd")


def test_one_row_and_one_unit_have_a_page():
    assert "<table" in render(nfa.audit(torch.nn.Linear(1, 1), gaussian(1, 1, dtype=torch.float32)))


@pytest.mark.slow
def test_many_layers_stay_below_two_megabytes():
    net = nfa.MLP(20, 12, 24, n_outputs=3)
    source = render(nfa.audit(net, gaussian(30, 20, dtype=torch.float32), perturbed(net)))
    assert len(source.encode()) < 2e6


def test_pages_hold_no_control_characters(moved, tmp_path):
    bad = "a\x1b[31m\u202eb\x00_" + "c" * 9
    first = replace(moved.layers[0], row=moved.layers[0].row | {"name": bad, "note": bad})
    odd = replace(moved, layers=(first, *moved.layers[1:]), about=replace(moved.about, model=bad, data=bad))
    compared = nfa.report.compare({bad: odd, "other": moved}, tmp_path).read_text()
    for text in (render(odd), compared):
        assert not set(text) & set("\x1b\u202e\x00")
        assert "a?[31m?b?_" in text
