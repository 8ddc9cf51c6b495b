extension Report {
    /// A page for people: what failed, the sections of Protocol.md in numbers, and every case with what went over the wire.
    ///
    /// It is one file, which loads nothing. A script adds the filter; all else works without it.
    var html: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>\(failed.isEmpty ? "" : "\(failed.count) failed, ")Lifeline conformance: \(escaped(subject))</title>
        <style>\(HTMLStyle.style)</style>
        </head>
        <body>
        <header>
        <h1>Lifeline conformance</h1>
        <p class="subject">\(escaped(subject))</p>
        <p class="verdict \(failed.isEmpty ? "passed" : "failed")">\(verdictSentence)</p>
        <dl class="numbers">
        <div><dt>passed</dt><dd>\(passed.count)</dd></div>
        <div><dt>failed</dt><dd>\(failed.count)</dd></div>
        <div><dt>skipped</dt><dd>\(skipped.count)</dd></div>
        <div><dt>time</dt><dd>\(short(took))</dd></div>
        </dl>
        <nav aria-label="Parts of this page"><a href="#failed">Failed</a> <a href="#sections">Sections</a> \
        <a href="#cases">All cases</a></nav>
        </header>
        <main>
        <input type="checkbox" id="bytes"> <label for="bytes">Show the bytes of frames in hex</label>
        \(failures)
        \(sectionTable)
        \(allCases)
        </main>
        <script>\(HTMLStyle.script)</script>
        </body>
        </html>

        """
    }

    private var verdictSentence: String {
        let tried = outcomes.count - skipped.count
        guard !failed.isEmpty else {
            return tried == 0 ? "No case was tried." : "\(count(tried, "case")) tried, and none failed."
        }
        let musts = failed.count { $0.level == .must }
        let shoulds = failed.count - musts
        let parts = [musts == 0 ? nil : "\(musts) of a MUST", shoulds == 0 ? nil : "\(shoulds) of a SHOULD"]
        let counted = shoulds > 0 && !isStrict ? " Without --strict a SHOULD does not count." : ""
        return "\(count(failed.count, "case")) failed: \(parts.compactMap(\.self).joined(separator: ", ")).\(counted)"
    }

    // MARK: Parts

    /// Of a few failures the wire logs are open, of many the complaints can be read one after another.
    private var failures: String {
        let cases = failed.sorted { natural($0.id, $1.id) }.map { outcome in
            """
            <article class="case failed" id="\(outcome.anchor)">
            <h3>\(outcome.head)</h3>
            <p class="complaint">\(escaped(outcome.verdict.complaint))</p>
            \(outcome.body(isOpen: failed.count <= 5))
            </article>
            """
        }
        return """
            <section id="failed" aria-labelledby="failed-h">
            <h2 id="failed-h">Failed</h2>
            \(cases.isEmpty ? "<p>Nothing.</p>" : cases.joined(separator: "\n"))
            </section>
            """
    }

    private var sections: [(section: ProtocolSection, outcomes: [CaseOutcome])] {
        Dictionary(grouping: outcomes) { ProtocolSection(of: $0.requirement) }.sorted { $0.key < $1.key }
            .map { ($0.key, $0.value.sorted { natural($0.id, $1.id) }) }
    }

    private var sectionTable: String {
        let rows = sections.map { section, outcomes in
            let failed = outcomes.count { $0.state == "failed" }
            let skipped = outcomes.count { $0.state == "skipped" }
            func cell(_ count: Int, _ state: String) -> String {
                "<td class=\"\(count == 0 ? "none" : state)\">\(count)</td>"
            }
            return "<tr><th scope=\"row\"><a href=\"#section-\(section.number)\">\(section.number) "
                + "\(escaped(section.title))</a></th>\(cell(failed, "failed"))\(cell(skipped, "skipped"))"
                + "\(cell(outcomes.count - failed - skipped, "passed"))</tr>"
        }
        return """
            <section id="sections" aria-labelledby="sections-h">
            <h2 id="sections-h">By section of Protocol.md</h2>
            <table class="sections">
            <thead><tr><th scope="col">Section</th><th scope="col">Failed</th><th scope="col">Skipped</th>\
            <th scope="col">Passed</th></tr></thead>
            <tbody>
            \(rows.joined(separator: "\n"))
            </tbody>
            </table>
            \(lateness)
            </section>
            """
    }

    private var lateness: String {
        latenessSentence.map { "<p>Measured \(escaped($0)).</p>" } ?? ""
    }

    private var allCases: String {
        let groups = sections.map { section, outcomes in
            """
            <section class="group" id="section-\(section.number)" aria-labelledby="section-\(section.number)-h">
            <h3 id="section-\(section.number)-h">\(section.number) \(escaped(section.title))</h3>
            \(outcomes.map(\.listed).joined(separator: "\n"))
            </section>
            """
        }
        return """
            <section id="cases" aria-labelledby="cases-h">
            <h2 id="cases-h">All cases</h2>
            <p>Open a case to see what went over the wire, with the frames and their fields. Behaviour and the way of closing are
            judged apart.</p>
            <form class="tools" id="filter" role="search" hidden>
            <label>Find <input type="search" id="find" placeholder="5.4, PONG, BUSY" autocomplete="off"></label>
            <label>Show <select id="show"><option value="">all cases</option><option>failed</option>\
            <option>skipped</option><option>passed</option><option value="should">SHOULD</option></select></label>
            <button type="button" id="open">Open all</button>
            <output id="count" for="find show"></output>
            </form>
            \(groups.joined(separator: "\n"))
            </section>
            """
    }
}

func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
