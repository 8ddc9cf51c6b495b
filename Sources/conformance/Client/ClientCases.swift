extension Case<ClientBench> {
    /// All cases against clients, section by section; within each they are numbered as they stand here.
    static let all: [Case] = numbered(
        section3Preface + section3Headers + section3Frames + section3Messages + section4 + section5Pings
            + section5Pongs + section5Deadlines + section6 + section7Close + section7Short + section8 + section5Windows
            + section3Requests + section3Credit)

    /// The cases say their section alone: this makes it `5.2/1`, `5.2/2`.
    private static func numbered(_ cases: [Case]) -> [Case] {
        func order(_ section: String) -> [Int] { section.split(separator: ".").compactMap { Int($0) } }
        var bySection: [String: [Case]] = [:]
        for tried in cases { bySection[tried.id, default: []].append(tried) }
        let sections = bySection.keys.sorted { order($0).lexicographicallyPrecedes(order($1)) }
        return sections.flatMap { section in
            bySection[section]!.enumerated().map { index, tried in
                Case(
                    "\(section)/\(index + 1)", tried.requirement, tried.sentence, level: tried.level, run: tried.run)
            }
        }
    }
}
