/// The name that is nearest to what was typed: one slip in a short name, up to three in a long one. Capital letters are
/// none.
func nearestName(to typed: String, among names: [String]) -> String? {
    let typed = typed.lowercased()
    let nearest = names.map { (name: $0, distance: editDistance($0.lowercased(), typed)) }
        .min { $0.distance < $1.distance }
    let letters = typed.drop { $0 == "-" }.count
    guard let nearest, letters > 1, nearest.distance <= (letters < 6 ? 1 : letters < 9 ? 2 : 3) else { return nil }
    return nearest.name
}

/// The number of letters to insert, delete, change or swap with the next to get from one word to the other (the optimal
/// string alignment distance).
private func editDistance(_ one: String, _ other: String) -> Int {
    let (one, other) = (Array(one), Array(other))
    var rows = [Array(0...other.count)]
    for i in one.indices {
        var row = [i + 1]
        for j in other.indices {
            var least = min(rows[i][j + 1], row[j]) + 1
            least = min(least, rows[i][j] + (one[i] == other[j] ? 0 : 1))
            if i > 0, j > 0, one[i] == other[j - 1], one[i - 1] == other[j] {
                least = min(least, rows[i - 1][j - 1] + 1)
            }
            row.append(least)
        }
        rows.append(row)
    }
    return rows[one.count][other.count]
}
