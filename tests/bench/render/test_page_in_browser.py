"""The HTML page in headless Chromium: real keys, real print, and no complaint on the console."""

from __future__ import annotations

import pytest
from browser import browse
from page_run import make_run
from system_programs import need

from bench.render.report import write_report

ACTIVE = "document.activeElement"
ROWS = "Array.from(document.querySelectorAll('#board-1 table')[0].tBodies[0].rows)"
NAMES = f"{ROWS}.filter(r => !r.hidden).map(r => r.dataset.entry)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    loaded, run = make_run(folder / "run")
    return write_report(loaded, run, folder / "report", ("html",))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browse(need("chromium"), tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def opened(browser, page):
    """The page, freshly loaded; a test fails if anything was complained about."""
    browser.complaints.clear()
    browser.emulate()
    browser.open(page)
    yield browser
    assert browser.complaints == []


def header(browser, key):
    """Moves the focus to the header of a column of the first board."""
    browser.js(f"document.querySelector('#board-1 button[aria-describedby=col-{key}]').focus()")


def test_the_browser_reports_what_goes_wrong(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<script>console.error('a'); undefinedName()</script><img src='http://x.invalid/y'>")
    browser.complaints.clear()
    browser.open(bad)
    browser.js("1")
    assert any("undefinedName" in said for said in browser.complaints)
    assert any("console.error" in said for said in browser.complaints)


def test_sorting_by_keyboard(opened):
    first = opened.js(NAMES)
    header(opened, "accuracy")
    opened.press("Enter")
    rising = opened.js(NAMES)
    assert rising == ["supervised", "softmatch", "fixmatch"]
    assert opened.js(f"{ACTIVE}.closest('th').getAttribute('aria-sort')") == "ascending"
    opened.press(" ")
    assert opened.js(NAMES) == rising[::-1]
    opened.press("Enter")
    assert opened.js(NAMES) == first
    header(opened, "p_baseline")  # the baseline has no p: it stays last in both directions
    for _ in range(2):
        opened.press("Enter")
        assert opened.js(NAMES)[-1] == "supervised"


def test_every_control_is_reached_with_the_tab_key(opened):
    opened.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    wanted = opened.js(
        "Array.from(document.querySelectorAll('a[href], button, input, select, summary')).map((e, i) => "
        "{ e.dataset.stop = i; return i; })"
    )
    seen = set()
    for _ in range(3 * len(wanted)):
        opened.press("Tab")
        stop = opened.js(f"{ACTIVE}.dataset.stop ?? null")
        if stop == "0" and len(seen) > 1:
            break
        seen.add(stop)
    assert {str(i) for i in wanted} <= seen


def test_a_header_explains_itself_on_focus_and_escape_hides_it(opened):
    header(opened, "rank")
    tip = "document.getElementById('tip')"
    assert opened.js(f"{tip}.hidden") is False
    assert "places that this entry may hold" in opened.js(f"{tip}.textContent")
    box = opened.js(f"JSON.parse(JSON.stringify({tip}.getBoundingClientRect()))")
    assert box["left"] >= 0 and box["right"] <= opened.js("window.innerWidth") and box["height"] > 10
    opened.press("Escape")
    assert opened.js(f"{tip}.hidden") is True


def test_filtering_hides_other_entries_in_all_tables(opened):
    opened.js("document.getElementById('filter').value = 'MATCH'")
    opened.js("document.getElementById('filter').dispatchEvent(new Event('input'))")
    assert set(opened.js(NAMES)) == {"fixmatch", "softmatch"}
    assert opened.js("document.getElementById('status').textContent") == "2 entries shown"
    seen = "Array.from(document.querySelectorAll('table.filtered tbody tr')).filter(r => !r.hidden)"
    assert set(opened.js(f"{seen}.map(r => r.dataset.entry)")) == {"fixmatch", "softmatch"}


def test_one_confusion_matrix_at_a_time(opened):
    panels = "Array.from(document.querySelectorAll('#board-1 .panel')).filter(p => !p.hidden)"
    assert opened.js(f"{panels}.map(p => p.dataset.entry)") == ["fixmatch"]
    opened.js("document.querySelector('#board-1 details.confusions').open = true")
    opened.js("document.querySelector('#board-1 select.pick').focus()")
    opened.press("ArrowDown")
    opened.press("Enter")
    assert opened.js(f"{panels}.map(p => p.dataset.entry)") == ["softmatch"]


def test_curves_of_an_entry_can_be_hidden(opened):
    opened.js("document.querySelector('#board-1 details.curves').open = true")
    opened.js("document.querySelector('#board-1 .legend input').focus()")
    off = "document.querySelectorAll('#board-1 g.off').length"
    assert opened.js(off) == 0
    opened.press(" ")
    number = opened.js(f"{ACTIVE}.dataset.line")
    assert opened.js(off) == opened.js(
        f"document.querySelectorAll('#board-1 g[data-line=\"{number}\"]').length"
    )


def contrast(browser):
    """Contrast ratio of the page's text (WCAG 2)."""

    def luminance(color):
        parts = [int(part) / 255 for part in color.strip("rgb()").split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    style = "getComputedStyle(document.body)"
    lights = sorted(luminance(browser.js(f"{style}.{name}")) for name in ("color", "backgroundColor"))
    return (lights[1] + 0.05) / (lights[0] + 0.05), luminance(browser.js(f"{style}.backgroundColor"))


def test_light_and_dark_are_readable_and_the_reader_decides(opened):
    opened.emulate(scheme="dark")
    ratio, paper = contrast(opened)
    assert ratio > 7 and paper < 0.05
    opened.js("document.getElementById('theme').focus()")
    opened.press("Enter")
    ratio, paper = contrast(opened)
    assert ratio > 7 and paper > 0.9
    assert opened.js("document.getElementById('theme').getAttribute('aria-pressed')") == "false"


def test_print_is_dark_on_white_shows_everything_and_folds_it_again(opened):
    opened.emulate(media="print", scheme="dark")
    ratio, paper = contrast(opened)
    assert ratio > 7 and paper > 0.9
    assert opened.js("getComputedStyle(document.querySelector('.controls')).display") == "none"
    opened.js(
        "window.addEventListener('beforeprint', () => { window.unfolded = "
        "document.querySelectorAll('details:not([open]), .panel[hidden]').length; })"
    )
    assert opened.pdf().startswith(b"%PDF")
    assert opened.js("window.unfolded") == 0
    assert opened.js("document.querySelectorAll('details[open]').length") == 0


def test_a_narrow_window_scrolls_tables_and_not_the_page(opened, tmp_path):
    opened.screenshot(tmp_path / "narrow.png", width=400, height=800)
    assert (tmp_path / "narrow.png").stat().st_size > 5000
    assert opened.js("document.documentElement.scrollWidth <= window.innerWidth")
