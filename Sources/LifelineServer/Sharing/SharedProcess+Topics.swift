import Basics
import Posix

// The process's tie to the router.
extension SharedProcess {
    /// Up to this many connections are brought what came for several: others wait no longer than for these.
    private static let deliveriesAtOnce = 256

    /// Reads and writes at the tie, and brings connections what the router has said.
    func serve(_ tie: RouterTie) {
        if tieEvent != nil || tie.deadline.map({ $0 <= now }) ?? false || tie.interest?.writing ?? false {
            tie.resumed(
                isReadable: tieEvent?.isReadable ?? false, isWritable: tieEvent?.isWritable ?? true, at: now)
            tieEvent = nil
            for delivery in tie.takeDeliveries(SharedProcess.deliveriesAtOnce) { deliver(delivery) }
        }
        updateInterest(of: tie)
    }

    private func deliver(_ delivery: PlacedDelivery) {
        guard let connection = connections[delivery.place], connection.pointee.driver.id == delivery.connection else {
            return
        }
        connection.pointee.driver.crashNotice?.blame()
        connection.pointee.driver.deliver(delivery.delivery, at: now)
        turn(connection, isReadable: false)
    }

    private func updateInterest(of tie: RouterTie) {
        let interest = tie.interest
        guard interest != tieInterest else { return }
        let isKnown = interest != nil && interest?.generation == tieInterest?.generation
        tieInterest = interest
        // epoll(7) has let go of a socket that was closed.
        guard let interest else { return }
        if isKnown {
            return poll.change(
                interest.number, key: SharedProcess.tieKey, reading: interest.reading, writing: interest.writing)
        }
        do throws(SystemError) {
            try poll.add(
                interest.number, key: SharedProcess.tieKey, reading: interest.reading, writing: interest.writing)
        } catch {
            // Without memory for it the process serves its clients as if there were no router, and tries again.
            tieInterest = nil
        }
    }
}
