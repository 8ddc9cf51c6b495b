import Basics
import Testing

@testable import LoadGenerator

@Suite("The histogram of latencies") struct LatencyHistogramTests {
    @Test("A bucket is at most 1/128 of its times wide, and every time is in the bucket that counts it")
    func buckets() {
        var random = SeededRandom(seed: 7)
        var times: [Int64] = [0, 1, 127, 128, 255, 256, 257, .max]
        for _ in 0..<2_000 { times.append(Int64(random.next() >> (1 + random.next() % 63))) }
        for time in times {
            var histogram = LatencyHistogram()
            histogram.add(Nanoseconds(time))
            histogram.add(Nanoseconds(.max))
            let found = histogram.quantile(0.5).count
            #expect(abs(found - time) <= time / 256 + 1, "\(time) is told as \(found)")
        }
        var end: Int64 = -1
        for bucket in 0..<7296 {
            let range = LatencyHistogram.range(of: bucket)
            #expect(range.lowerBound == end + 1)
            #expect(range.upperBound - range.lowerBound <= range.lowerBound / 128)
            end = range.upperBound
        }
        #expect(end == .max)
    }

    @Test("Percentiles are those of the sorted times, off by 0.4 % at most; the longest is exact")
    func quantiles() {
        var random = SeededRandom(seed: 3)
        var histogram = LatencyHistogram()
        let times = (0..<50_000).map { _ in Int64(1000 * 1 / (0.0001 + random.share())) }
        for time in times { histogram.add(Nanoseconds(time)) }
        let sorted = times.sorted()
        for share in [0.001, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999] {
            let exact = Double(sorted[Int((share * Double(sorted.count)).rounded(.up)) - 1])
            let told = Double(histogram.quantile(share).count)
            #expect(abs(told - exact) <= exact * 0.004 + 1, "\(share): \(told) for \(exact)")
        }
        #expect(histogram.quantile(1).count == sorted.last)
        #expect(histogram.most.count == sorted.last)
        #expect(histogram.least.count == sorted.first)
        #expect(histogram.count == 50_000)
    }

    @Test("One time is every percentile; none is zero")
    func few() {
        var histogram = LatencyHistogram()
        #expect(histogram.quantile(0.5) == .zero && histogram.mean == .zero && histogram.chart().isEmpty)
        histogram.add(Nanoseconds(12_345_678))
        for share in [0, 0.5, 1] { #expect(histogram.quantile(share) == Nanoseconds(12_345_678)) }
    }

    @Test("The chart has a row for each of 1, 2 and 5, which hold all times, and a bar for the least share")
    func chart() {
        var histogram = LatencyHistogram()
        for _ in 0..<99_999 { histogram.add(Nanoseconds(15_000)) }
        histogram.add(Nanoseconds(700_000))
        let rows = histogram.chart()
        #expect(rows.count == 6)
        #expect(rows[0].contains("10.0 us") && rows[0].contains("99,999") && rows[0].hasSuffix("█"))
        #expect(rows[5].contains("500 us") && rows[5].contains(" 1  <0.01 % ▏"))
        #expect(histogram.counts(from: [.zero, Nanoseconds(20_000)]) == [99_999, 1])
    }
}

@Suite("Numbers for people") struct NumberFormatTests {
    @Test("Times have three digits and a unit")
    func times() {
        for (time, text): (Int64, String) in [
            (0, "0 ns"), (999, "999 ns"), (1000, "1.00 us"), (48_249, "48.2 us"), (99_960, "100 us"),
            (999_400, "999 us"), (999_600, "1.00 ms"), (1_030_000, "1.03 ms"), (2_500_000_000, "2.50 s"),
            (90_000_000_000, "90.0 s"),
        ] {
            #expect(NumberFormat.time(Nanoseconds(time)) == text)
        }
    }

    @Test("Thousands are told apart, and digits behind the point are rounded")
    func numbers() {
        #expect(
            NumberFormat.grouped(0) == "0" && NumberFormat.grouped(999) == "999"
                && NumberFormat.grouped(1_234_567) == "1,234,567")
        #expect(
            NumberFormat.fixed(0.05, 1) == "0.1" && NumberFormat.fixed(1.999, 2) == "2.00"
                && NumberFormat.fixed(-0.001, 2) == "0.00")
        #expect(NumberFormat.fixed(12.5, 0) == "13" && NumberFormat.fixed(0.000_000_001, 9) == "0.000000001")
    }

    @Test("Text in JSON is quoted")
    func quoting() {
        #expect("a\"\\\n\u{1}é".quotedAsJSON == "\"a\\\"\\\\\\u000a\\u0001é\"")
    }
}
