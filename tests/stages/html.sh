#!/bin/bash
# dvg-inspect --report: its numbers are those of the files, it needs nothing from outside, foreign text does no harm, missing pieces are left out.
# limit: 240 seconds; takes: 15 seconds
. "$(dirname "$0")/lib_run.sh"
cd "$scratch" || exit 1
report_on() { run "$1" dvg-inspect --report "$2" "$3"; } # ranks, page, folder

make_run run
cp run/f/recognizer.h5 aside.h5
check "a report" report_on 0 page.html run
says "says what it wrote" '^report +page\.html, [0-9.]+ MB, 6 stages$'
check "once more" report_on 3 pages/again.html run/
check "gives the same bytes on 3 ranks" cmp page.html pages/again.html
check "the folder first" run 0 dvg-inspect run --report first.html
check "gives the same" cmp page.html first.html
from_within() { (cd run/f/.. && run 0 dvg-inspect --report ../within.html .); }
check "from within the folder" from_within
check "gives the same as from within" cmp page.html within.html
absent "nothing half" page.html.part
is "no address" "$(grep -cE '(https?|ftp|file):|//|url\(|@import' <(sed 's/base64,[^"]*//g' page.html))" 0
if command -v xmllint >/dev/null; then check "well-formed" xmllint --noout --nonet page.html; fi

# ---- what the page says, for a Python program

[ -x $python ] || { skip "what the page says: there is no $python"; summary; }
cat >page.py <<'END'
import base64, json, re, subprocess, sys
import xml.etree.ElementTree as ET

class Page:
    def __init__(self, path):
        self.root = ET.fromstring(open(path, encoding="utf-8").read())
        self.ids = {e.get("id") for e in self.root.iter() if e.get("id")}
        for e in self.root.iter():
            assert e.tag not in ("script", "link", "iframe", "object", "embed", "form", "base", "video", "audio", "use", "foreignObject"), e.tag
            for name, value in e.attrib.items():
                assert not name.startswith("on"), name
                if name == "href": assert value.startswith("#") and value[1:] in self.ids, value
                if name == "src": assert value.startswith("data:image/png;base64,"), value
        self.stages = {self.text(self.cls(s, "name")[0]): s for s in self.root.iter("details")}
    def cls(self, e, name): return [x for x in e.iter() if name in (x.get("class") or "").split()]
    def text(self, e): return " ".join("".join(e.itertext()).split())
    def all(self): return self.text(self.root)
    def cell(self, stage, name): return self.text(self.cls(self.stages[stage], name)[0])
    def state(self, stage): return self.stages[stage].get("class").split()[1]
    def section(self, name): return next((s for s in self.root.iter("section") if s.get("id") == name), None)
    def images(self): return [base64.b64decode(i.get("src").split(",")[1]) for i in self.root.iter("img")]
    def charts(self, section): return {self.text(c.find("figcaption").find("span")): c for c in self.cls(section, "chart")}
    def curve(self, chart, k=0):
        d = self.cls(chart, "curve")[k].get("d")
        return [tuple(map(float, p.split())) for p in re.split("[ML]", d) if p]

def shown(x): return "%.4g" % x
def log(path): return [json.loads(line) for line in open(path)]
END

for f in toy.h5 f/recognizer.h5 features sampler/sampler.h5 pairs judged/evaluation.h5; do
  check "describes $f" run 0 dvg-inspect "run/$f" --json
  grep -oE '"(root_)?sha256":"[0-9a-f]{64}"' "$output" | head -n 1 | grep -oE '[0-9a-f]{64}' >>digests
done
check "the pairs' sheet" run 0 dvg-inspect run/pairs --sheet sheet.png --rows 4 --columns 4
python_check "stages" <<'END'
from page import *
p = Page("page.html")
assert list(p.stages) == ["toy.h5", "f", "features", "sampler", "pairs", "judged"], list(p.stages)
made = {s: p.cell(s, "made") for s in p.stages}
assert made == {"toy.h5": "28 images of 7 people", "f": "3 steps", "features": "28 items", "sampler": "32 steps", "pairs": "20 pairs", "judged": "14 probes"}, made
assert all(p.state(s) == "done" for s in p.stages)
for name, digest in zip(p.stages, open("digests").read().split()):
    assert p.text(p.stages[name].find(".//code")) == digest, name
settings = {p.text(d.find("dt")): p.text(d.find("dd")) for d in p.stages["pairs"].find(".//dl")}
assert settings["per-shard"] == "8" and settings["domain"] == "NIR", settings
assert p.cell("pairs", "program") == "dvg-generate"
inputs = {p.text(i.find("span")): i for i in p.stages["pairs"].iter("li")}
assert set(inputs) == {"generator", "sampler", "bank", "recognizer"}, inputs
assert inputs["bank"].find("a").text == "toy.h5" and inputs["generator"].find("a") is None
END
python_check "lineage" <<'END'
from page import *
p = Page("page.html")
flows = {p.text(t) for t in p.section("lineage").iter("title")}
for want in ["toy.h5 is images of f, images of features, bank of pairs, images of judged", "sampler is sampler of pairs", "pairs is pairs of judged",
             "features is features of sampler", "g.h5 is generator of pairs"]:
    assert want in flows, (want, flows)
boxes = {p.text(b.find("title")): b for b in p.cls(p.section("lineage"), "box")}
assert set(boxes) == set(p.stages) | {"g.h5"} and "outside" in boxes["g.h5"].get("class")
x = {name: float(b.find("rect").get("x")) for name, b in boxes.items()}
assert x["toy.h5"] < x["f"] < x["features"] < x["sampler"] < x["pairs"] < x["judged"] and x["g.h5"] < x["pairs"], x
where = [(float(b.find("rect").get("x")), float(b.find("rect").get("y"))) for b in boxes.values()]
assert all(a is b or a[0] != b[0] or abs(a[1] - b[1]) >= 40 for a in where for b in where), "boxes lie on each other"
END
python_check "curves" <<'END'
from page import *
p = Page("page.html")
charts, lines = p.charts(p.section("trainings")), log("run/sampler/log.jsonl")
for term in "cosine", "kl":
    values = [l["terms"][term] for l in lines]
    assert shown(values[-1]) == p.text(charts[term].find("figcaption").find("b")), term
    points = p.curve(charts[term])
    assert len(points) == len(lines), (len(points), len(lines))
    ys = [-y for _, y in points]
    for axis, have in ((values, ys), ([l["step"] for l in lines], [x for x, _ in points])):
        scale = (max(have) - min(have)) / (max(axis) - min(axis))
        for a, h in zip(axis, have): assert abs((h - min(have)) - scale * (a - min(axis))) < 0.11, (term, a, h)
assert shown(lines[-1]["loss"]) in p.text(charts["loss, the weighted sum"])
assert "learning rate 0.001" in p.text(p.section("trainings")) # constant: no curve
images = p.images()
for sheet in "run/sampler/sheets/sampler-000032.png", "sheet.png": assert open(sheet, "rb").read() in images, sheet
assert len(images) == 3, len(images) # and the recogniser's
END
python_check "results" <<'END'
from page import *
p, m = Page("page.html"), json.load(open("run/judged/metrics.json"))
row = next(p.section("results").iter("tbody")).find("tr")
cells = [p.text(td) for td in row.iter("td")]
per = lambda x: "%.1f %%" % (100 * x)
head = [p.text(th) for th in next(p.section("results").iter("thead")).iter("th")]
assert head == ["recogniser", "rank-1", "TAR at FAR 50 %", "TAR at FAR 10 %", "EER", "AUC"], head
for cell, value, interval in (cells[0], m["rank_1"], m["rank_1_interval"]), *((cells[1 + i], m["tar_at_far"][f], m["tar_at_far_interval"][f]) for i, f in enumerate(("0.5", "0.1"))):
    want = per(value) + "%.1f \u2013 %.1f" % tuple(100 * x for x in interval)
    assert cell.replace(" ", "") == want.replace(" ", ""), (cell, want)
assert cells[3] == per(m["eer"]) and cells[4] == "%.4f" % m["auc"], cells
assert "seven people" in p.text(row.find("th")) and "14 NIR probes, 14 VIS in the gallery" in p.text(row.find("th"))
charts = p.charts(p.section("results"))
match = p.curve(charts["CMC: probes found"])
rates = [float(l.split()[1]) for l in open("run/judged/cmc.tsv").readlines()[1:]]
assert len(match) == len(rates) == 14
low, high = match[-1][1], match[0][1]
for (x, y), r in zip(match, rates): assert abs((y - low) - (high - low) * (rates[-1] - r) / (rates[-1] - rates[0])) < 0.11
assert len(p.curve(charts["ROC: true accepts"])) > 5
quality = {p.text(r.find("th")): p.text(r.find("td")) for r in p.section("pairs").iter("tr") if r.find("th") is not None and r.find("td") is not None}
assert quality["mean cosine within a pair (MS)"] == shown(m["pairs"]["ms"]), quality
assert quality["pairs looked at"] == "20" and quality["mean cosine to the identity, NIR"] == shown(m["pairs"]["to_identity"]["NIR"])
card = json.load(open("run/pairs/card.json"))
text = p.text(p.cls(p.root, "card")[0])
assert "20 asked for, 20 written, 0 rejected as inconsistent, 0 rejected as revoked." in text and card["root_digest"] in text, text
for name, s in card["scores"].items(): assert "%s%.4f%.4f%.4f" % (name, s["mean"], s["least"], s["largest"]) in text.replace(" ", ""), name
for limit in card["known_limits"]: assert limit.replace("`", "").split() == [w for w in limit.replace("`", "").split()] and limit.split(" `")[0] in text
tiles = p.text(p.cls(p.root, "tiles")[0])
assert "20generated pairs in \u201cpairs\u201d" in tiles and per(m["rank_1"]) in tiles, tiles
END

# ---- the job's log tells ranks and times

{
  echo "dvg-prepare render 0.1.0"
  echo "3 ranks on 2 cores, 1 BLAS thread each, sharing cores"
  echo "run/toy.h5: 28 images, in 1234.4 s, digest $(sed -n 1p digests)"
  echo "dvg-train-sampler 0.1.0"
  echo "run/sampler/sampler.h5: $(sed -n 4p digests)"
} >run/log
check "with a log" report_on 0 log.html run
python_check "its ranks and times" <<'END'
from page import *
p = Page("log.html")
assert p.cell("toy.h5", "ranks") == "3 ranks" and p.cell("toy.h5", "took") == "20 min 34 s", p.cell("toy.h5", "took")
assert p.cell("sampler", "ranks") == "" and p.cell("f", "ranks") == ""
END
rm run/log

# ---- folds and differences

mkdir judges
for fold in a b c; do
  for k in 0 1 2 3 4 5 6 7 8 9 10 11 12 13; do # rows 0, 1: of the first person in VIS, 2, 3: in NIR
    person=$((k / 2))
    [ "$fold$person" != "a0" ] && [ "$fold$person" != "b5" ] && [ "$fold$person" != "c3" ] || continue
    printf '%s\tgallery\t#%d\n%s\tprobe\t#%d\n' $fold $((4 * person + k % 2)) $fold $((4 * person + 2 + k % 2))
  done
done >folds.tsv
judge() { run 0 dvg-evaluate --images run/toy.h5 --gallery-domain VIS --probe-domain NIR --far 0.5 --bootstrap 200 "$@"; }
check "another recogniser" run 0 make_weights --width 0.05 --size 32 --out judges/f2.h5
check "folds" judge --weights run/f/recognizer.h5 --protocol folds.tsv --name folds --out judges/folds
check "one" judge --weights judges/f2.h5 --name 'the other' --out judges/other
check "against it, with a look at pairs" judge --pairs run/pairs --weights run/f/recognizer.h5 --against judges/other --out judges/against
check "a report on them" report_on 0 judges.html judges
python_check "what it says" <<'END'
from page import *
import statistics
p = Page("judges.html")
table, *others = p.section("results").iter("table")
rows = {p.text(tr.find("th")): [p.text(td) for td in tr.iter("td")] for tr in table.iter("tr") if tr.find("td") is not None}
folds = [json.load(open(f"judges/folds/fold-{f}/metrics.json")) for f in "abc"]
for f, m in zip("abc", folds): assert any(name.startswith(f"folds, fold-{f}folds/fold-{f}: 12 NIR probes") for name in rows), list(rows)
mean = rows["mean of 3 foldsfolds"]
for cell, values in (mean[0], [m["rank_1"] for m in folds]), (mean[1], [m["tar_at_far"]["0.5"] for m in folds]):
    assert cell == "%.1f %%\u00b1 %.1f" % (100 * statistics.mean(values), 100 * statistics.stdev(values)), (cell, values)
assert "pairs looked at20" in p.text(p.section("pairs"))
a = json.load(open("judges/against/metrics.json"))["against"]
assert len(others) == 1 and "against against the other" in p.text(p.section("results"))
said = {p.text(tr.find("th")): [p.text(td) for td in tr.iter("td")] for tr in others[0].iter("tr") if tr.find("td") is not None}
r = a["rank_1"]
assert said["rank-1"] == ["%+.1f" % (100 * r["difference"]), "%+.1f to %+.1f" % (100 * r["low"], 100 * r["high"]), "%.3g" % r["p"]], said
m = a["mcnemar"]
assert said["probes right for one alone (McNemar)"] == ["%d : %d" % (m["only_here"], m["only_there"]), "", "%.3g" % m["p"]], said
assert said["TAR at FAR 50 %"][0] == "%+.1f" % (100 * a["tar_at_far"]["0.5"]["difference"])
END

# ---- a run that isn't whole

cp -r run half
rm half/pairs/index.h5 half/pairs/shard-000001.h5 half/toy.h5 half/sampler/sampler.h5 half/pairs/card.json
held half/pairs "$this_boot"
printf '{"phase":"sampler","step":40,"of":64,"loss":5,"terms":{"kl":7}' >>half/sampler/log.jsonl
: >half/sampler/sheets/sampler-000040.png
truncate -s 2000 half/judged/evaluation.h5
check "of an unfinished run" report_on 2 half.html half
is "without a word" "$(wc -c <"$output.err")" 0
python_check "what it says" <<'END'
from page import *
p = Page("half.html")
assert p.state("pairs") == "running" and p.state("sampler") == "stopped" and p.state("features") == "done"
assert p.cell("pairs", "made").startswith("12 of 20 pairs running"), p.cell("pairs", "made")
bar = p.stages["pairs"].find(".//progress")
assert (bar.get("value"), bar.get("max")) == ("12", "20")
assert "Being written by dvg-train-sampler" in p.text(p.stages["pairs"])
assert p.cell("sampler", "made") == "32 of 32 steps stopped", p.cell("sampler", "made") # the line that is cut short doesn't count
assert p.section("results") is None and p.section("pairs") is None and not p.cls(p.root, "card")
boxes = {p.text(b.find("title")): b.get("class") for b in p.cls(p.section("lineage"), "box")}
assert "outside" in boxes["toy.h5"] and "running" in boxes["pairs"], boxes
assert "sampler-000040.png: no PNG" in p.all()
assert "5 stages, 2 done, 1 running, 2 stopped." in p.all(), p.all()
END
check "of a training alone" report_on 0 alone.html run/sampler
python_check "what it says" <<'END'
from page import *
p = Page("alone.html")
assert list(p.stages) == ["sampler"] and p.section("trainings") is not None
END
mkdir many && for n in $(seq 30); do cp aside.h5 "many/$n.h5"; done
check "of thirty files" report_on 0 many.html many
says "all of them" ', 30 stages$'

# ---- foreign text

hostile='<script>alert("1")<&'\'
mkdir "$hostile"
cp -r run/toy.h5 "$hostile"
cp g.h5 "$hostile/a<b>\"&'.h5"
cp -r run/sampler "$hostile/<img src=x onerror=alert(2)>"
printf '{"phase":"<script>","step":1,"of":2,"loss":1,"terms":{"<b>&.x":1,"\\u0001\\ud800":2},"rate":1,"seconds":1}\n{"phase":"<script>","step":2,"of":2,"loss":1,"terms":{"<b>&.x":2},"rate":2,"seconds":1}\n' \
  >>"$hostile/<img src=x onerror=alert(2)>/log.jsonl"
: >"$hostile/<img src=x onerror=alert(2)>/sheets/<script>-000002.png"
cp -r run/pairs "$hostile"
sed -i 's/"what"/"identities_from":"<svg onload=alert(3)>","known_limits":["`<i>`","`","]]>","<!--"],"what"/; s/"cos_pair"/"<u>"/' "$hostile/pairs/card.json"
cp run/toy.h5 "$hostile/"$'bad\xff\xfe\x01\xed\xa0\x80.h5'
check "evaluates" run 0 dvg-evaluate --images run/toy.h5 --weights run/f/recognizer.h5 --gallery-domain VIS --probe-domain NIR --bootstrap 0 --name '<script>x</script>' \
  --out "$hostile/judged"
held "$hostile/sampler" "$this_boot" 2>/dev/null || { mkdir "$hostile/sampler" && held "$hostile/sampler" "$this_boot"; }
sed -i 's/^host .*/host <script>/' "$hostile/sampler/dvg.lock"
check "hostile names" report_on 0 hostile.html "$hostile"
is "no tag of theirs" "$(grep -ciE '<(script|img src=x|svg onload|b>&|u>|i>`)' hostile.html)" 0
python_check "are text" <<'END'
from page import *
p = Page("hostile.html")
assert p.text(p.root.find(".//h1")) == """<script>alert("1")<&'""" and "a<b>\"&'.h5" in p.stages and "<img src=x onerror=alert(2)>" in p.stages, list(p.stages)
assert any(s.startswith("bad\ufffd\ufffd\ufffd") for s in p.stages), list(p.stages)
for text in "<svg onload=alert(3)>", "<script>x</script>", "<b>&", "<!--", "]]>", "<u>": assert text in p.all(), text
END
if command -v xmllint >/dev/null; then check "well-formed" xmllint --noout --nonet hostile.html; fi

# ---- what is refused

mkdir empty
expect_fail "an empty folder" 3 "empty: holds no run" report_on 2 no.html empty
expect_fail "no folder" 4 "nowhere: cannot read this folder" report_on 3 no.html nowhere
expect_fail "a file" 4 "toy.h5: cannot read this folder: Not a directory" report_on 0 no.html run/toy.h5
expect_fail "the other way round" 4 "no.html: cannot read this folder" report_on 0 run no.html
expect_fail "a folder that is a file" 4 "run/toy.h5: is not a folder" report_on 2 run/toy.h5/no.html run
expect_fail "a full disk" 4 "/dev/full" report_on 0 /dev/full/no.html run
expect_fail "with --verify" 2 "--report is of a whole run" run 0 dvg-inspect --report no.html run --verify
absent "no page then" no.html
summary
