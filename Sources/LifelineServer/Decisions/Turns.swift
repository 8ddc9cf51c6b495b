/// Whether a child that has answered gives others a turn, and looks for more before it waits in poll(2).
///
/// Where more processes want to run than there are processors, what the client says next is there when its own turn has
/// come, and neither a wait nor a waking up is paid for it. Where nobody else wants to run, the turn is over at once and
/// nothing is there: that is found out by trying, and tried seldom from then on.
struct Turns {
    /// After so many in a row poll(2) is asked in any case, for it tells of signals too.
    static let most = 16
    /// So many that brought nothing, one after another, show that it does not pay.
    static let patience = 4
    /// It is tried again after so many waits.
    static let rest = 32

    private var row = 0
    private var misses = 0
    private var waits = 0

    /// It has answered: whether to give others a turn now, and then `found` is told. If not it waits.
    mutating func mayYield() -> Bool {
        if row < Turns.most, misses < Turns.patience || waits >= Turns.rest {
            row += 1
            return true
        }
        row = 0
        waits += 1
        return false
    }

    /// What the client said next was there, or was not, and is waited for.
    mutating func found(_ isThere: Bool) {
        waits = 0
        if isThere {
            misses = 0
        } else {
            misses += 1
            row = 0
        }
    }
}
