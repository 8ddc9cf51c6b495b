import Basics
import Framing
import Testing

@testable import LifelineClient

/// A path of a connection with 2 s of dead_after, whose HELLO left at 0 and whose WELCOME took `handshake` seconds.
private func path(handshake: Double) -> PathCheck {
    var path = PathCheck()
    path.wrote(at: at(0))
    path.wrote(at: at(handshake / 2))
    _ = path.welcomed(deadAfter: .seconds(2), at: at(handshake))
    return path
}

@Suite("5.13-1 Whether dead_after can work on the path") struct PathCheckTests {
    @Test func twoLongRoundTripsAreTooLongAndAreToldOnce() {
        var path = path(handshake: 1.2)
        #expect(path.takeTooLong() == nil)
        path.measured(.milliseconds(1100), at: at(3))
        #expect(path.takeTooLong() == .milliseconds(1100))
        path.measured(.milliseconds(1300), at: at(6))
        path.missed()
        path.ended(by: .silent)
        #expect(path.takeTooLong() == nil)
    }

    @Test func oneShortRoundTripDecidesForThePath() {
        for handshake in [0.1, 1.5] {
            var path = path(handshake: handshake)
            path.measured(.seconds(1), at: at(4))
            for second in 5..<9 { path.measured(.milliseconds(1500), at: at(Double(second * 2))) }
            path.missed()
            path.ended(by: .noRoundTrip)
            #expect(path.takeTooLong() == nil)
        }
    }

    @Test func roundTripsOfTheSameMomentCountAsOne() {
        var path = path(handshake: 1.2)
        // It left before WELCOME came: what held WELCOME up held this up, too.
        path.measured(.milliseconds(1900), at: at(3))
        #expect(path.takeTooLong() == nil)
        path.measured(.milliseconds(1800), at: at(3.1))
        #expect(path.takeTooLong() == .milliseconds(1200))
    }

    @Test func aRoundTripThatIsLongerThanDeadAfterIsNeverMeasured() {
        var late = path(handshake: 2.5)
        late.missed()
        #expect(late.takeTooLong() == .milliseconds(2500))
        for code in [Code.silent, .noRoundTrip] {
            var dropped = path(handshake: 2.5)
            dropped.ended(by: code)
            #expect(dropped.takeTooLong() == .milliseconds(2500))
        }
        var other = path(handshake: 2.5)
        other.ended(by: .shuttingDown)
        #expect(other.takeTooLong() == nil)
    }

    @Test func aConnectionWithoutWelcomeSaysNothing() {
        var path = PathCheck()
        path.wrote(at: at(0))
        path.ended(by: .silent)
        #expect(path.takeTooLong() == nil)
    }
}
