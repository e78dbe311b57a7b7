#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of jobs/restore/corpus (extraction, cleaning, split, damage), bench/baseline/score.py."""
import collections
import importlib.machinery
import importlib.util
import json
import os
import random
import struct
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def load(name, path):
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(ROOT, path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


corpus = load("corpus", "jobs/restore/corpus")
score = load("score", "bench/baseline/score.py")


def catalogue(messages):
    """The bytes of a .mo file."""
    pairs = sorted((k.encode(), v.encode()) for k, v in
                   {"": "Content-Type: text/plain; charset=UTF-8\n", **messages}.items())
    n, at, body = len(pairs), 28 + 16 * len(pairs), b""
    tables = [[], []]
    for side in (0, 1):
        for pair in pairs:
            tables[side].append(struct.pack("<II", len(pair[side]), at + len(body)))
            body += pair[side] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, n, 28, 28 + 8 * n, 0, 0)
    return head + b"".join(tables[0] + tables[1]) + body


class Cleaning(unittest.TestCase):
    def test_every_white_space_becomes_one_ascii_space(self):
        self.assertEqual(corpus.normal("  mot\u00a0\u202f?\tune\u3000\n fin\u2007 "),
                         "mot ? une fin")

    def test_text_is_composed_and_without_invisible_characters(self):
        self.assertEqual(corpus.normal("e\u0301t\u00ade\u200b\ufeff \ufb01n"), "éte fin")

    def test_marks_stand_where_the_language_wants_them(self):
        self.assertEqual(corpus.spaced("dados , e outros ?", "pt_BR"), "dados, e outros?")
        self.assertEqual(corpus.spaced("des données , quoi? oui: 3:4 !", "fr"),
                         "des données, quoi ? oui : 3:4 !")
        self.assertEqual(corpus.spaced("usa .NET aqui", "es"), "usa .NET aqui")

    def test_prose_has_words_letters_and_no_markup(self):
        good = "Uma frase com mais de cinco palavras."
        self.assertTrue(corpus.is_prose(good))
        for bad in ("Quatro palavras bem compridas!", good + " <b>x</b>", good + " \\fBx\\fR",
                    good + " &nbsp;", good + " ${var}", good.upper(), good * 60,
                    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 a b",
                    "Indietro5.3. Struttura di un pacchetto sorgente",
                    "Это не латинский текст, а другой"):
            self.assertFalse(corpus.is_prose(bad), bad)

    def test_typewriter_accents_of_italian_are_mended_or_refused(self):
        self.assertEqual(corpus.mend_italian("E' possibile un po' di tutto"),
                         "È possibile un po' di tutto")
        self.assertIsNone(corpus.mend_italian("questo e quello perche' serve"))
        self.assertEqual(corpus.mend_italian("il comando 'prova' serve"),
                         "il comando 'prova' serve")

    def test_english_left_in_a_page_is_dropped(self):
        own = ["o gato come o peixe na casa de praia hoje",
               "a casa do gato fica na praia grande"] * 30
        english = ["the cat eats the fish in the house today",
                   "the house of the cat is on the beach"] * 30
        mixed = "o gato come o peixe. the cat eats the fish in the house today."
        rows = [("s", "d", t) for t in own + english[:2] + [mixed]]
        kept = [r[2] for r in corpus.without_english(rows, corpus.word_counts(english))]
        self.assertEqual(kept, own)

    def test_text_written_without_accents_is_dropped(self):
        good = [("s", "d%d" % i, "não há ação alguma nas três páginas " * 3) for i in range(50)]
        bad = ("s", "x", "nao ha acao alguma nas tres paginas " * 3)
        self.assertEqual(corpus.without_ascii(good + [bad]), good)

    def test_fragments_are_dropped_but_names_of_programs_stay(self):
        rows = [("s", "d", "mostra a lista de todos os itens"),
                ("s", "d", "gimp mostra a lista de tudo")]
        kept = corpus.without_fragments(rows, {"mostra": 500, "gimp": 3})
        self.assertEqual([r[2] for r in kept], ["gimp mostra a lista de tudo"])

    def test_a_quotation_with_a_missing_accent_is_seen(self):
        accented = collections.Counter({"solucao": 80})
        counts = collections.Counter({"solução": 80, "solucao": 1, "para": 90})
        self.assertTrue(corpus.misses_accents("Para tudo há uma solucao", counts, accented))
        self.assertFalse(corpus.misses_accents("Para tudo há solução", counts, accented))


class Extraction(unittest.TestCase):
    def test_html_paragraphs_without_code_menus_and_hidden_parts(self):
        page = ("<html><head><title>no</title></head><body><nav>no</nav><h1>Um <b>título</b></h1>"
                "<p>Escolha <span class='MAC'><span>X</span> no</span><em>Ficheiro</em> &amp; vá."
                "<p>Dois<br>linhas<pre>no <p>no</pre><ul><li>item</li></ul></body></html>")
        self.assertEqual([corpus.normal(p) for p in corpus.html_paragraphs(page)],
                         ["Um título", "Escolha Ficheiro & vá.", "Dois", "linhas", "item"])

    def test_roff_paragraphs_without_tags_tables_and_examples(self):
        page = ('.\\" comment\n.TH X 1\n.SH NOME\nx \\- copia\n.TP\n\\fB\\-a\\fP\ntodos os\n'
                ".BR ls (1)\narquivos\n.PP\nL\\(aqaria\\ \\[u00E8] \\*(lqbuona\\*(rq e\\&.\n"
                ".nf\nverbatim\n.fi\n.TS\na b\n.TE\nfim\n")
        self.assertEqual([corpus.normal(p) for p in corpus.roff_paragraphs(page)],
                         ["x - copia", "todos os ls(1) arquivos", "L'aria è “buona” e.", "fim"])

    def test_an_unknown_roff_escape_makes_the_paragraph_unfit(self):
        text = corpus.roff_inline("uma frase com um sinal \\[xx] que ninguém lê")
        self.assertFalse(corpus.is_prose(text))

    def test_mdoc_pages_are_left_alone(self):
        self.assertEqual(corpus.roff_paragraphs(".Dd May 1\n.Nm x\ntext\n"), [])

    def test_description_lists_and_paragraphs(self):
        lines = ["Um pacote que faz", "coisas boas:", "  * primeira coisa", "    e mais",
                 "  * segunda", ".", "Fim."]
        self.assertEqual(corpus.description_paragraphs(lines),
                         ["Um pacote que faz coisas boas:", "primeira coisa e mais", "segunda",
                          "Fim."])

    def test_descriptions_are_read_package_by_package(self):
        index = ("Package: a\nDescription-md5: 1\nDescription-pt: x\n Um.\n .\n Dois.\n\n"
                 "Package: b\nDescription-pt: y\n Três.\n")
        self.assertEqual(list(corpus.descriptions(index)),
                         [("a", [" Um.", " .", " Dois."]), ("b", [" Três."])])

    def test_story_messages_lose_markup_and_context(self):
        self.assertEqual(corpus.story_text("female^Eu <i>não</i>\nvou."), "Eu não\nvou.")
        self.assertIsNone(corpus.story_text("Olá, $unit.name|!"))
        self.assertIsNone(corpus.story_text("Mar carmesim, essência\nDa vida que corre\nE morre"))

    def test_story_rows_are_named_by_the_english_message(self):
        messages = catalogue({"Go home.": "Vete a casa.", "Same": "Same"})
        rows = list(corpus.story_rows("es", "wesnoth-x", messages))
        self.assertEqual({r[0] for r in rows if r[3] == "Vete a casa."}, {"es"})
        self.assertEqual(len({r[2] for r in rows if r[3] != "Same"}), 1)
        self.assertNotIn(("es", "Same"), {(r[0], r[3]) for r in rows})

    def test_fortunes_lose_their_signature(self):
        self.assertEqual(corpus.normal(corpus.fortune_text("Uma frase\nboa.\n\t\t-- Alguém")),
                         "Uma frase boa.")
        self.assertIsNone(corpus.fortune_text("a     b\n  /\\"))

    def test_language_tags(self):
        for tag, lang in (("C", "en"), ("en-US", "en"), ("pt-br", "pt_BR"), ("pt%5fBR", "pt_BR"),
                          ("de-DE", "de"), ("zh-CN", None), ("fr.UTF-8", "fr"), ("xx", None)):
            self.assertEqual(corpus.language_of(tag), lang, tag)

    def test_package_paths(self):
        def rows(package, path, data):
            return list(corpus.member_paragraphs(package, path, data))
        page = b"<p>Ol\xc3\xa1</p>"
        path = "./usr/share/doc/debian/FAQ/pt/choosing.pt.html"
        self.assertEqual(rows("debian-faq-pt", path, page),
                         [("pt", "debian-faq", "choosing", "Olá")])
        path = "./usr/share/debian-reference/ch01.pt-br.html"
        self.assertEqual(rows("debian-reference-pt-br", path, page),
                         [("pt_BR", "debref", "ch01", "Olá")])
        path = "./usr/share/games/fortunes/cs/klasik-sk"
        self.assertEqual(rows("fortunes-cs", path, b"Ahoj"), [])


class Splitting(unittest.TestCase):
    def test_a_document_is_on_one_side_and_the_shares_hold(self):
        parts = [corpus.part_of("man", "page%d" % i) for i in range(20000)]
        self.assertEqual(parts[:9], [corpus.part_of("man", "page%d" % i) for i in range(9)])
        self.assertAlmostEqual(parts.count("test") / 20000, 0.025, delta=0.005)
        self.assertAlmostEqual(parts.count("dev") / 20000, 0.020, delta=0.005)

    def test_a_story_line_is_on_the_same_side_in_every_campaign(self):
        self.assertEqual(corpus.part_of("wesnoth-a", "0f"), corpus.part_of("wesnoth-b", "0f"))

    def test_held_out_rows_share_little_with_training_and_spread_over_documents(self):
        words = [["w%d_%d" % (i, k) for k in range(12)] for i in range(40)]
        train = [("s", "t", " ".join(w)) for w in words[:20]]
        kept, seen = corpus.thin(train + train[:1], 8)
        self.assertEqual(kept, train)
        pool = [("s", "d", " ".join(words[0][:10] + ["x", "y"]))]
        pool += [("s", "d", " ".join(w)) for w in words[20:]]
        held, fresh = corpus.held_out(pool, seen, 8, 100)
        self.assertEqual((len(held), fresh), (20, 20))
        pool = [("s", "d%d" % (i // 14), " ".join("v%d_%d" % (i, k) for k in range(9)))
                for i in range(28)]
        held, fresh = corpus.held_out(pool, set(), 8, 24)
        self.assertEqual([sum(r[1] == d for r in held) for d in ("d0", "d1")], [12, 12])


class Damage(unittest.TestCase):
    def test_level_1_takes_accents_only(self):
        self.assertEqual(corpus.damage("Ação, não! Größe, œuvre, Łódź, đi, Þór, İı ẞ Ŵ", 1),
                         "Acao, nao! Grosse, oeuvre, Lodz, di, THor, Ii SS W")

    def test_level_2_lowers_too(self):
        self.assertEqual(corpus.damage("ÀÉ İZMİR Straße ẞ ΑΣ.", 2), "ae izmir strasse ss ασ.")

    def test_level_3_takes_marks_at_word_ends(self):
        for text, bare in (("Mot ? Oui.", "mot oui"), ("word... next", "word next"),
                           ("3.14 e 1,5", "3.14 e 1,5"), ('word." x', 'word." x'),
                           ("... mot !", "... mot"), ("a ? ! b", "a b"), (".", "."),
                           ("fim;: x", "fim x"), ("(ver) .", "(ver)"), ("¿Qué?", "¿que"),
                           ("a.b. c", "a.b c"), ("? .", "?"), ("x\u00a0! y", "x y"), ("", "")):
            self.assertEqual(corpus.damage(text, 3), bare, text)

    def test_damage_changes_nothing_twice(self):
        chance = random.Random(1)
        for _ in range(3000):
            letters = chance.choices("aéÄßœ. ,?!:;\"(İđ3 ", k=chance.randint(0, 30))
            text = corpus.normal("".join(letters))
            for level in (1, 2, 3):
                once = corpus.damage(text, level)
                self.assertEqual(corpus.damage(once, level), once, text)


class Scoring(unittest.TestCase):
    def test_marks_that_stand_alone_belong_to_the_word_before(self):
        self.assertEqual(score.words_and_marks("Mot ? Oui. 3.14"),
                         [["Mot", "?"], ["Oui", "."], ["3.14", ""]])
        self.assertEqual(score.words_and_marks("... mot"), [["...", ""], ["mot", ""]])

    def test_figures(self):
        t = score.Tally()
        t.add("Olá, mundo. 42!", "Ola mundo. 42?")
        self.assertEqual(t.figures(), {"rows": 1, "word_accuracy": 0.5, "exact": 0.0,
                                       "punct_f1": round(2 / (2 + 1 + 2), 4)})

    def test_different_words_are_refused(self):
        with self.assertRaises(ValueError):
            score.Tally().add("um dois", "um")


class HeldOut(unittest.TestCase):
    """The rows that ship."""

    def test_rows_are_clean_unique_and_not_shared(self):
        seen = set()
        for folder in ("heldout", "dev"):
            base = os.path.join(ROOT, "jobs", "restore", folder)
            for name in sorted(os.listdir(base)):
                with open(os.path.join(base, name), encoding="utf-8") as f:
                    for line in f:
                        row = json.loads(line)
                        self.assertEqual(row["text"], corpus.normal(row["text"]))
                        self.assertEqual(row["language"] + ".jsonl", name)
                        for key in (row["id"], (row["language"], row["text"])):
                            self.assertNotIn(key, seen)
                            seen.add(key)


if __name__ == "__main__":
    unittest.main()
