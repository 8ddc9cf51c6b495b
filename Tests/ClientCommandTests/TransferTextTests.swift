import Testing

@testable import LifelineClient
@testable import client

private func text(
    _ direction: TransferDirection, _ bytes: Int, of total: Int?, rate: Double = 1000,
    after seconds: Int = 10,
    isOver: Bool = false, number: Int? = 1
) -> TransferText {
    TransferText(
        progress: TransferProgress(
            direction: direction, request: number == nil ? nil : 1, bytes: bytes, total: total, rate: rate,
            elapsed: .seconds(seconds), isOver: isOver),
        number: number)
}

@Suite struct TransferTextTests {
    @Test func lines() {
        #expect(text(.sending, 260_000, of: 600_000, rate: 31_400).line == "sending 1: 260 kB of 600 kB, 31 kB/s")
        #expect(text(.receiving, 5000, of: nil, number: 12).line == "receiving 12: 5.0 kB, 1.0 kB/s")
        #expect(text(.receiving, 950, of: nil, number: nil).line == "receiving a message: 950 B, 1.0 kB/s")
        #expect(
            text(.sending, 600_000, of: 600_000, after: 20, isOver: true).line == "sent 1: 600 kB in 20.0 s, 30 kB/s")
        #expect(
            text(.receiving, 1_250_000, of: 1_250_000, isOver: true).line == "received 1: 1.3 MB in 10.0 s, 125 kB/s")
        #expect(text(.sending, 5000, of: 9000, isOver: true).line == "sending 1: broken off after 5.0 kB of 9.0 kB")
        #expect(text(.receiving, 5000, of: nil, isOver: true).line == "receiving 1: broken off after 5.0 kB")
    }

    @Test func bars() {
        let half = text(.sending, 50_000, of: 100_000, rate: 4000)
        #expect(half.bar(width: 60) == "sending 1: [##########          ] 50 %  4.0 kB/s  0:13 left")
        // However wide the terminal, the bar has 40 cells.
        #expect(half.bar(width: 200).count { $0 == "#" } == 20)
        #expect(half.bar(width: 200).count == half.bar(width: 100).count)
        // Where it does not fit, the numbers are enough, and no line is ever wrapped.
        #expect(half.bar(width: 40) == "sending 1: 50 %  4.0 kB/s  0:13 left")
        for width in 0..<100 { #expect(half.bar(width: width).count <= max(width - 1, 0), "\(width)") }
        #expect(text(.sending, 50_000, of: 100_000, rate: 0).bar(width: 60).hasSuffix("] 50 %  0 B/s"))
        let coming = text(.receiving, 350_000, of: nil, rate: 31_000)
        #expect(coming.bar(width: 80) == "receiving 1: 350 kB  31 kB/s")
        #expect(coming.bar(width: 12) == "receiving 1")
        #expect(
            text(.sending, 100_000, of: 100_000).bar(width: 100).contains(
                "[########################################] 100 %"))
    }

    @Test func sizes() {
        let sizes = [0, 999, 1000, 9949, 9950, 10_000, 999_499, 999_500, 9_949_999, 12_345_678, 3_000_000_000]
        #expect(
            sizes.map(TransferText.size) == [
                "0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "10 kB", "999 kB", "1.0 MB", "9.9 MB", "12 MB", "3.0 GB",
            ])
    }

    @Test func clocks() {
        #expect(
            [0, 0.2, 12, 59.5, 185, 3600, 1e12].map(TransferText.clock) == [
                "0:00", "0:01", "0:12", "1:00", "3:05", "1:00:00", "99:59:59",
            ])
    }
}
