"""The page of a run: complete, self-contained, and silent about Sharpe ratios whose trials nobody counted."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from angle_domains.errors import ConfigError
from angle_domains.evaluation import Terms, Verdict
from angle_domains.evaluation.market import judge
from angle_domains.evaluation.skill import Trials
from angle_domains.report import RunSummary
from angle_domains.report.market import write_report
from feeds.market.config import Costs
from feeds.market.feed import MarketFeed
from tests.conftest_browser import browser_page
from tests.portfolios import LONG_SHORT, Rule, fixed, make_bars, make_feed, random_closes, wandering

RUN = RunSummary(
    name="market-ppo-<calm> & otter",
    feed="market",
    agent="ppo",
    seeds=(0, 3),
    steps=200_000,
    seconds=181.4,
    steps_per_second=41_231.0,
    config={"feed": {"name": "market", "costs": {"commission": 0.0005}}, "agent": {"layers": [64, 64]}},
    provenance={"git commit": "9e2e617", "torch": "2.13.0"},
    curve=((10_000, -0.01), (20_000, 0.05), (30_000, 0.04)),
    links={"Compare in MLflow": "http://127.0.0.1:5000/#/compare?a=1&b=2"},
    test_openings=2,
)
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Holds that every tag is closed in order, and gathers text, headings, links and what would be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.ids += [named["id"] or ""] if "id" in named else []
        if tag != "a":
            self.fetched += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(text)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def write(feed: MarketFeed, agent: Rule, folder: Path, run: RunSummary = RUN, split: str = "test") -> Path:
    verdict = judge(feed, agent, Terms(split, trials=Trials(12)))
    return write_report(verdict, run, folder / "deep" / "report.html")


@pytest.fixture(scope="module")
def market() -> MarketFeed:
    bars = make_bars(random_closes(1200, 12))
    return make_feed(replace(bars, notes=("survivors: chosen with hindsight",), digest="abc123"), costs=Costs())


@pytest.fixture(scope="module")
def verdict(market: MarketFeed) -> Verdict:
    return judge(market, wandering(12), Terms("test", trials=Trials(12)))


@pytest.fixture(scope="module")
def path(verdict: Verdict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(verdict, RUN, tmp_path_factory.mktemp("run") / "report.html")


@pytest.fixture(scope="module")
def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_no_sharpe_without_the_number_of_trials(market: MarketFeed, tmp_path: Path) -> None:
    uncounted = judge(market, fixed(*[0.05] * 12), Terms("validation"))
    with pytest.raises(ConfigError, match="number of trials"):
        write_report(uncounted, RUN, tmp_path / "report.html")
    quick = judge(market, fixed(*[0.05] * 12), Terms("validation", full=False))
    with pytest.raises(ConfigError, match="full verdict"):
        write_report(quick, RUN, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_page_is_well_formed_and_small(page: Page, path: Path) -> None:
    assert path.stat().st_size < 1_500_000
    assert len(page.ids) == len(set(page.ids))
    parts = {"verdict", "wealth", "differences", "measures", "holdings", "trading", "years", "rolling", "learning"}
    assert parts | {"provenance"} <= set(page.ids)


def test_the_page_fetches_nothing(page: Page, path: Path) -> None:
    assert page.fetched == ["data:,"]  # the empty icon
    style = path.read_text(encoding="utf-8")
    assert "@import" not in style
    assert "url(" not in style


def test_the_verdict_and_the_notes_lead(page: Page, verdict: Verdict) -> None:
    words = verdict.lines[-1].replace("[-", "[−").replace(" -", " −").replace("by -", "by −")
    assert words in page.text
    assert "survivors: chosen with hindsight" in page.text
    assert page.text.index(words) < page.text.index("Wealth and drawdown")


def test_names_are_escaped(page: Page, path: Path) -> None:
    assert "market-ppo-<calm> & otter" in page.text
    assert "<calm>" not in path.read_text(encoding="utf-8")
    assert "seeds 0, 3" in page.text


def test_every_measure_stands_beside_every_baseline(page: Page, verdict: Verdict) -> None:
    for name in ("ppo", "equal weight", "buy and hold", "minimum variance", "cash"):
        assert name in page.text
    for name in (
        "Sharpe ratio", "CAGR", "Volatility", "Sortino ratio", "Calmar ratio", "Maximum drawdown", "Longest drawdown",
        "Value at risk", "Expected shortfall", "Bars with a gain", "Beta", "Alpha", "Exposure", "Herfindahl",
        "Turnover", "Cost drag", "Probabilistic Sharpe ratio", "Deflated Sharpe ratio", "Decisions projected",
    ):  # fmt: skip
        assert name in page.text
    benchmark = verdict.detail.measures[1]
    assert f"{benchmark['sharpe']:.2f}".replace("-", "−") in page.text
    assert f"{benchmark['cagr']:.1%}".replace("-", "−") in page.text


def test_trials_and_openings_of_the_test_part_are_told(page: Page) -> None:
    assert "12, this run included" in page.text
    assert "after 12 trials" in page.text
    assert "opened 2 times for this run" in page.text
    assert "the standard error of a skill-less Sharpe ratio" in page.text


@pytest.mark.parametrize(
    ("split", "openings", "words"),
    [
        ("test", 1, "opened once for this run"),
        ("test", 0, "openings were not recorded"),
        ("validation", 0, "not opened for this run"),
    ],
)
def test_openings_in_words(market: MarketFeed, tmp_path: Path, split: str, openings: int, words: str) -> None:
    page = write(market, wandering(12), tmp_path, replace(RUN, test_openings=openings), split)
    assert words in Page(page.read_text(encoding="utf-8")).text


def test_provenance_ends_the_page(page: Page) -> None:
    for word in ("abc123", "9e2e617", "2.13.0", "feed.costs.commission", "0.0005", "64, 64", "200,000 steps in 181 s"):
        assert word in page.text[page.text.index("Provenance") :]


def test_years_and_months_compound_to_the_whole(page: Page, verdict: Verdict) -> None:
    path = verdict.detail.agent
    whole = 1.0
    for year in np.unique(path.timestamp.astype("datetime64[Y]")):
        gain = np.expm1(path.log_return[path.timestamp.astype("datetime64[Y]") == year].sum())
        whole *= 1.0 + gain
        assert re.search(rf"{year} [\d,]+ bars {gain:.1%}".replace("-", "−"), page.text)
    assert whole == pytest.approx(path.wealth[-1])


def test_the_largest_holdings_have_areas_and_the_rest_is_summed(page: Page) -> None:
    assert "4 others" in page.text
    assert re.search(r"cash \d+%", page.text)
    assert len(set(re.findall(r"\bA\d+ \d+%", page.text))) == 8


@pytest.mark.parametrize(
    ("settings", "assets", "weights"),
    [
        ({}, 1, (0.7,)),
        ({}, 2, (0.0, 0.0)),  # never invested
        ({"actions": LONG_SHORT}, 3, (0.9, -0.4, 0.1)),
        ({"rebalance_every": 21}, 3, (0.2, 0.3, 0.4)),
        ({"costs": Costs(cash_rate=0.03)}, 3, (0.2, 0.3, 0.4)),
    ],
)
def test_other_portfolios_get_a_page_too(
    settings: dict[str, object], assets: int, weights: tuple[float, ...], tmp_path: Path
) -> None:
    feed = make_feed(random_closes(400, assets), **settings)
    page = Page(write(feed, fixed(*weights), tmp_path, replace(RUN, curve=())).read_text(encoding="utf-8"))
    assert "learning" not in page.ids
    assert not re.search(r"\b(nan|inf)\b", page.text)


@pytest.mark.parametrize("every", ["m", "h", "D"])
def test_short_and_intraday_parts_get_a_page(every: str, tmp_path: Path) -> None:
    feed = make_feed(make_bars(random_closes(90, 2), every=every))
    page = Page(write(feed, wandering(2), tmp_path).read_text(encoding="utf-8"))
    assert "36 bars" in page.text or "35 bars" in page.text


def test_ruin_is_told(tmp_path: Path) -> None:
    close = random_closes(200, 2, risk=0.001)
    close[150:, 0] *= 1.9
    feed = make_feed(close, actions=LONG_SHORT, ruin=0.5)
    page = Page(write(feed, fixed(-0.7, -0.3), tmp_path).read_text(encoding="utf-8"))
    assert "was ruined before the end of the part" in page.text


@pytest.mark.page
def test_the_page_in_a_browser(path: Path) -> None:
    with browser_page(width=1280, height=900) as tab:
        said: list[str] = []
        requests: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            for width in (1280, 768, 390):
                tab.set_viewport_size({"width": width, "height": 900})
                tab.goto(path.as_uri())
                assert tab.evaluate("document.documentElement.scrollWidth") <= width
        tab.hover("#wealth .plot.tall", position={"x": 100, "y": 60})
        shown = tab.inner_text("#wealth .readout")
        assert "ppo" in shown
        assert "×" in shown
        drawn = tab.locator("#wealth .plot.tall > svg").first.bounding_box()
        assert drawn
        assert drawn["width"] > 250
        assert drawn["height"] > 200
        tab.emulate_media(media="print")
        tab.set_viewport_size({"width": 690, "height": 1000})  # A4 less its margins: nothing may be cut off
        assert tab.evaluate("document.documentElement.scrollWidth") <= 690
        assert said == []
        assert set(requests) == {path.as_uri()}
