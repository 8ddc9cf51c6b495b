import Posix
import RawWire
import Testing

@testable import conformance

@Suite("The page of the report") struct HTMLReportTests {
    private func outcome(
        _ id: String, _ requirement: String, _ behaviour: CaseVerdict.Behaviour = .right, level: Level = .must,
        sentence: String = "It holds", traces: [[Trace.Piece]] = []
    ) -> CaseOutcome {
        var verdict = CaseVerdict()
        verdict.behaviour = behaviour
        verdict.traces = traces
        return CaseOutcome(id: id, requirement: requirement, level: level, sentence: sentence, verdict: verdict)
    }

    private func page(_ outcomes: [CaseOutcome], strict: Bool = false) -> String {
        Report(subject: "server <&>", outcomes: outcomes, took: .seconds(2), isStrict: strict).html
    }

    /// The offsets at which the texts stand, in UTF-8; nil where one is missing.
    private func places(of texts: [String], in page: String) -> [Int?] {
        texts.map { text in
            page.firstRange(of: text).map { page.utf8.distance(from: page.startIndex, to: $0.lowerBound) }
        }
    }

    private var mixed: [CaseOutcome] {
        [
            outcome("3.1/1", "3.1-1"), outcome("5.10/2", "5.10-1", .wrong("late")), outcome("5.9/1", "5.9-1"),
            outcome("5.9/10", "5.9-1", .skipped("no limit is known")),
            outcome("4.2/1", "4.2-1", .wrong("got <b>"), level: .should),
        ]
    }

    @Test("What failed stands first, then the sections in numbers, then every case, each in the order of Protocol.md")
    func order() {
        let places = places(
            of: [
                "id=\"failed\"", "id=\"case-4.2/1\"", "id=\"case-5.10/2\"", "id=\"sections\"", "#section-5.9\"",
                "#section-5.10\"", "id=\"cases\"", "id=\"case-3.1/1\"", "id=\"case-5.9/1\"", "id=\"case-5.9/10\"",
                "href=\"#case-5.10/2\"",
            ], in: page(mixed))
        #expect(!places.contains(nil))
        #expect(places.compactMap(\.self) == places.compactMap(\.self).sorted())
    }

    @Test("The sections have their headings and their numbers")
    func sections() {
        let page = page(mixed)
        #expect(
            page.contains(
                "<a href=\"#section-5.9\">5.9 Slow reader</a></th><td class=\"none\">0</td><td class=\"skipped\">1</td>"
                    + "<td class=\"passed\">1</td>"))
        #expect(page.contains("5.10 Ping bucket</a></th><td class=\"failed\">1</td>"))
    }

    @Test(
        "One sentence says how it went",
        arguments: [
            ([CaseVerdict.Behaviour.right, .right], Level.must, false, "2 cases tried, and none failed."),
            ([.skipped("x")], .must, false, "No case was tried."),
            ([.wrong("x"), .right], .must, false, "1 case failed: 1 of a MUST."),
            (
                [.wrong("x"), .wrong("y")], .should, false,
                "2 cases failed: 2 of a SHOULD. Without --strict a SHOULD does not count."
            ),
            ([.wrong("x")], .should, true, "1 case failed: 1 of a SHOULD."),
        ])
    func verdict(_ verdicts: [CaseVerdict.Behaviour], _ level: Level, _ strict: Bool, _ sentence: String) {
        let outcomes = verdicts.enumerated().map { outcome("3.1/\($0)", "3.1-1", $1, level: level) }
        #expect(page(outcomes, strict: strict).contains(">\(sentence)</p>"))
    }

    @Test("Frames are decoded into fields, with their bytes beside them")
    func frames() {
        let trace = [Trace.Piece(.received, at: .milliseconds(2), RawFrame.preface + RawFrame.welcome().bytes)]
        let page = page([outcome("4.2/1", "4.2-1", traces: [trace])])
        #expect(page.contains("<b>got</b> 2.0 ms"))
        #expect(page.contains("<b>WELCOME</b> <i>major</i>\u{A0}1 "))
        #expect(page.contains(" <i>dead_after</i>\u{A0}30000\u{A0}ms "))
        #expect(page.contains("<code class=\"hex\">4c 49 46 45"))
    }

    @Test("A text of the peer is text and never markup, and turns nothing around")
    func hostile() {
        let text = "</script><img src=x onerror=alert(1)>\u{202E}\u{0}\u{85}\u{FFFE}&\""
        let trace = [Trace.Piece(.received, at: .zero, RawFrame.preface + RawFrame.close(.busy, text).bytes)]
        let page = page([
            outcome("3.1/1", "3.1-1", .wrong(text), sentence: text, traces: [trace]),
            outcome("3.1/2", "3.1-1", .skipped(text)),
        ])
        #expect(!page.contains("<img"))
        #expect(
            page.contains(
                "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}&amp;&quot;"))
        #expect(page.unicodeScalars.allSatisfy { $0 == "\n" || !(0x7F..<0xA0 ~= $0.value || $0.value < 0x20) })
    }

    @Test("It is one file: nothing in it is loaded from anywhere")
    func alone() {
        let page = page(mixed)
        for word in ["http:", "https:", " src=", "<link", "@import", "url(", "@font-face"] {
            #expect(!page.contains(word))
        }
    }

    @Test("Every element is closed, ids are unique, and each link of the page has its place")
    func wellFormed() {
        let page = page(mixed)
        var open: [Substring] = []
        var ids: Set<Substring> = []
        var links: [Substring] = []
        for tag in page.matches(of: /<(\/?)([a-z0-9]+)([^>]*)>/) {
            let (isEnd, name, attributes) = (!tag.1.isEmpty, tag.2, tag.3)
            if let id = attributes.firstMatch(of: /\bid="([^"]*)"/)?.1 { #expect(ids.insert(id).inserted, "\(id)") }
            if let link = attributes.firstMatch(of: /href="#([^"]*)"/)?.1 { links.append(link) }
            if isEnd {
                #expect(open.popLast() == name)
            } else if !["meta", "input", "br"].contains(name) {
                open.append(name)
            }
        }
        #expect(open.isEmpty)
        #expect(links.count > 5 && links.allSatisfy(ids.contains))
        for heading in page.matches(of: /aria-labelledby="([^"]*)"/) { #expect(ids.contains(heading.1)) }
    }

    @Test("Every section that a requirement of Protocol.md has is named as its heading there")
    func titles() throws {
        let root = "\(#filePath)".split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
        let document = String(decoding: try contents(ofFile: root + "/Protocol.md", most: 1 << 20), as: UTF8.self)
        let headings = Dictionary(
            uniqueKeysWithValues: document.matches(of: /\n##+ ([0-9.]+) ([^\n]*)/).map { ("\($0.1)", "\($0.2)") })
        let used = Set(document.matches(of: /\n\*\*([0-9.]+)-[0-9]+\*\*/).map { "\($0.1)" })
        #expect(used.count > 30)
        for number in used { #expect(ProtocolSection.titles[number] == headings[number], "\(number)") }
        for (number, title) in ProtocolSection.titles { #expect(headings[number] == title, "\(number)") }
    }
}
