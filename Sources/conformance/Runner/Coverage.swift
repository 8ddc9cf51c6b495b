import Posix

/// Finds the requirements of Protocol.md with and without a case.
enum Coverage {
    /// The numbers of all requirements in `document`: they stand in bold, like `**5.5-1**`.
    static func requirements(in document: String) -> [String] {
        document.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("**"), let end = line.dropFirst(2).firstIndex(of: "*") else { return nil }
            let number = line[line.index(line.startIndex, offsetBy: 2)..<end]
            guard number.contains("-"), number.allSatisfy({ $0.isNumber || $0 == "." || $0 == "-" }) else { return nil }
            return String(number)
        }
    }

    /// A line for each requirement without a case, with the reason where it is one that cannot be seen, and the numbers.
    static func report(on document: String, covered: Set<String>, invisible: [String: String]) -> String {
        let all = requirements(in: document)
        let missing = all.filter { !covered.contains($0) && invisible[$0] == nil }
        let unseen = all.filter { !covered.contains($0) && invisible[$0] != nil }
        let gone = covered.subtracting(all).sorted()
        var lines = missing.map { "\($0)  no case" }
        lines += unseen.map { "\($0)  \(invisible[$0] ?? "")" }
        lines += gone.map { "\($0)  has a case, but is not in the document" }
        lines.append(
            "\(all.count) requirements: \(all.filter(covered.contains).count) with a case, \(unseen.count) that cannot "
                + "be seen, \(missing.count) without")
        return lines.joined(separator: "\n") + "\n"
    }
}
