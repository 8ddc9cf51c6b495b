"""What a row has to show, and what it has shown."""

import statistics

SLACK = 1.1
LINGER = 1.0  # Seconds for which a side reads on after its CLOSE, before a log says that it has dropped the peer.
GOAL, GOAL_MOST = 0.25, 0.5  # Parts of dead_after that a heartbeat under load may take: the median, and the longest.
BUSY = 0.6  # Seconds that a busy machine may add.


def bounds(row):
    """Seconds after the fault between which the client and the server have to notice it: (least, most) of each."""
    least = 0.5 * row.dead_after - 0.1
    cut_off = row.drain + SLACK * row.dead_after + BUSY
    # Whoever still hears the other misses its answers: its PING, up to ping_every later, then counts. The other side
    # may say CLOSE earlier, but what the network has not acknowledged may hold that back.
    one_way = cut_off + 0.5 * row.dead_after
    most = {
        "cut": {"client": cut_off, "server": cut_off},
        "up-lost": {"client": one_way, "server": cut_off},
        "down-lost": {"client": cut_off, "server": one_way},
    }[row.fault]
    lingers = {"client": row.pair == "peer-client", "server": True}
    return {who: (least, most[who] + (SLACK * LINGER if lingers[who] else 0)) for who in most}


def judge(row, seen):
    """The complaints, in words; none where all is as it has to be. None where the path allows no judgement."""
    complaints = [f"wrong bytes: {what}" for what in seen.wrong]
    outcomes = seen.outcomes
    done = outcomes.get("DONE", 0)
    uncertain = outcomes.get("UNKNOWN", 0) + outcomes.get("FAILED", 0)
    if seen.served is not None and not done <= seen.served <= done + uncertain and not seen.timed_out:
        complaints.append(f"the server has answered {seen.served}, and the client has {describe(outcomes)}")
    if sum(outcomes.get(outcome, 0) for outcome in ("DONE", "UNKNOWN", "FAILED", "NOT_SENT", "REFUSED")) \
            != row.requests and not seen.timed_out and not seen.wrong and row.transfer != "short":
        complaints.append(f"{row.requests} requests have the outcomes {describe(outcomes)}")
    if row.fault == "none":
        ends = [f"{who}: {end[1]}" for who, end in (("client", seen.client_end), ("server", seen.server_end)) if end]
        if ends and not row.path_allows:
            return complaints or None
        if ends:
            complaints.append(f"dropped after {min(e[0] for e in (seen.client_end, seen.server_end) if e):.1f} s ("
                              + "; ".join(ends) + ")")
        elif seen.timed_out:
            complaints.append("not done in time")
        elif done != row.requests or "LOST" in outcomes:
            complaints.append(f"not all came: {describe(outcomes)}")
        elif seen.beats and row.path_allows_goal:
            median, most = (beat / row.dead_after for beat in (statistics.median(seen.beats), max(seen.beats)))
            if median > GOAL or most > GOAL_MOST:
                complaints.append(f"heartbeats take {median:.2f} of dead_after, and up to {most:.2f}")
        return complaints
    if not seen.has_fault:
        return complaints + [f"over before the fault ({seen.client_end[1] if seen.client_end else 'done'})"]
    for who, (least, most) in bounds(row).items():
        end = seen.client_end if who == "client" else seen.server_end
        if end is None and who == "server" and row.transfer == "short":
            pass  # It may have said all that it had to say, CLOSE included, before the fault.
        elif end is None:
            complaints.append(f"the {who} has not noticed")
        elif not least <= end[0] <= most:
            complaints.append(f"the {who} noticed after {end[0]:.1f} s, and not {least:.1f} to {most:.1f} s ({end[1]})")
    return complaints


def describe(outcomes):
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "none"


HEADS = ["rate, queue", "dead after", "transfer", "pair", "fault", "outcomes", "beat: median, most", "noticed by client, server",
         "link used", "verdict"]


def cells(row, seen, complaints):
    """The cells of a row of the table. Times are parts of dead_after."""
    beat = "–"
    if seen.beats:
        beat = f"{statistics.median(seen.beats) / row.dead_after:.2f}, {max(seen.beats) / row.dead_after:.2f}"
    noticed = "–"
    if row.fault != "none":
        noticed = ", ".join(
            f"{end[0] / row.dead_after:.2f}" if end else "–" for end in (seen.client_end, seen.server_end))
    used = "–"
    if row.fault == "none" and seen.took and seen.outcomes == {"DONE": row.requests}:
        used = f"{100 * row.seconds / seen.took:.0f} %"
    verdict = "not judged: the path is too slow" if complaints is None else "; ".join(complaints) or "ok"
    return [row.link, f"{row.dead_after:g} s", row.transfer, row.pair, row.fault, describe(seen.outcomes), beat, noticed,
            used, verdict]
