//! Cable faults in a real kernel: what each drops, and in which direction.

use super::*;
use peerlab::kernel::netlink::NetlinkError;

/// What gets through, in this order: LACP, BFD, BGP, other traffic; to the right, then to the left.
fn reach(bed: &Bed) -> Result<[bool; 8], Failed> {
    let (lacp_here, lacp_there) = (bed.left.lacp(0)?, bed.right.lacp(0)?);
    let udp = |port| -> Result<_, Failed> {
        Ok((
            bed.left.udp(LEFT.into(), port)?,
            bed.right.udp(RIGHT.into(), port)?,
        ))
    };
    let (bfd, other) = (udp(3784)?, udp(5060)?);
    Ok([
        lacp_passes(&lacp_here, &lacp_there)?,
        passes(&bfd.0, &bfd.1)?,
        connects(bed)?,
        passes(&other.0, &other.1)?,
        lacp_passes(&lacp_there, &lacp_here)?,
        passes(&bfd.1, &bfd.0)?,
        connects(bed)?,
        passes(&other.1, &other.0)?,
    ])
}

/// Whether a BGP connection comes up from the left to the right.
fn connects(bed: &Bed) -> Result<bool, Failed> {
    let (left, right) = (&bed.left.router, &bed.right.router);
    let listener = right.run(|| bgp_listen(RIGHT.into(), 0, Reach::Link, &[]))??;
    let socket = left.run(|| bgp_connect(LEFT.into(), 0, Reach::Link, None))??;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let socket = tokio::net::TcpSocket::from_std_stream(socket);
        let both = async { tokio::join!(socket.connect((RIGHT, 179).into()), listener.accept()) };
        Ok::<_, std::io::Error>(tokio::time::timeout(SOON, both).await.is_ok())
    })?)
}

pub fn each_fault() -> Result<(), Failed> {
    let mut bed = Bed::open(1)?;
    expect("before", reach(&bed)?, [true; 8])?;
    let member = bed.left.members[0];
    let everything = [Direction::In, Direction::Out];
    for (directions, pattern, wanted) in [
        (&everything[..], Pattern::Everything, "---- ----"),
        (&everything[..1], Pattern::Everything, "LB-o ----"),
        (&everything[1..], Pattern::Everything, "---- LB-o"),
        (&everything[..], Pattern::Lacp, "-Bgo -Bgo"),
        (&everything[1..], Pattern::Lacp, "-Bgo LBgo"),
        (&everything[1..], Pattern::OwnLacp, "-Bgo LBgo"),
        (&everything[..], Pattern::Bfd, "L-go L-go"),
        (&everything[..1], Pattern::Bfd, "LBgo L-go"),
        (&everything[..], Pattern::Bgp, "LB-o LB-o"),
    ] {
        let fault = |direction: &Direction| Fault {
            member,
            direction: *direction,
            pattern,
        };
        let faults: Vec<Fault> = directions.iter().map(fault).collect();
        set_faults(&mut bed.left.netlink, &faults)?;
        set_faults(&mut bed.left.netlink, &faults)?;
        let letters = ['L', 'B', 'g', 'o', 'L', 'B', 'g', 'o'];
        let mut found: Vec<char> = letters
            .iter()
            .zip(reach(&bed)?)
            .map(|(letter, passes)| if passes { *letter } else { '-' })
            .collect();
        found.insert(4, ' ');
        let found: String = found.into_iter().collect();
        expect(
            &format!("{pattern:?} {directions:?}"),
            found.as_str(),
            wanted,
        )?;
        clear_faults(&mut bed.left.netlink, &faults)?;
        clear_faults(&mut bed.left.netlink, &faults)?;
        expect("cleared", reach(&bed)?, [true; 8])?;
    }
    Ok(())
}

/// An end that was told to be silent is not heard, whatever becomes of the cable, and is heard again when it is told to.
pub fn own_lacp() -> Result<(), Failed> {
    let mut bed = Bed::open(1)?;
    let (here, there) = (bed.left.lacp(0)?, bed.right.lacp(0)?);
    let fault = |direction, pattern| Fault {
        member: bed.left.members[0],
        direction,
        pattern,
    };
    let silence = [fault(Direction::Out, Pattern::OwnLacp)];
    let cable = [Direction::In, Direction::Out].map(|way| fault(way, Pattern::Lacp));
    type Change = fn(&mut Netlink, &[Fault]) -> Result<(), NetlinkError>;
    let changes: [(&str, Change, &[Fault], [bool; 2]); 8] = [
        ("silent", set_faults, &silence, [false, true]),
        ("and the cable fails", set_faults, &cable, [false, false]),
        ("repaired", clear_faults, &cable, [false, true]),
        ("speaks", clear_faults, &silence, [true, true]),
        ("the cable fails", set_faults, &cable, [false, false]),
        ("and it is silent", set_faults, &silence, [false, false]),
        ("speaks in vain", clear_faults, &silence, [false, false]),
        ("repaired again", clear_faults, &cable, [true, true]),
    ];
    for (what, change, faults, wanted) in changes {
        change(&mut bed.left.netlink, faults)?;
        let found = [lacp_passes(&here, &there)?, lacp_passes(&there, &here)?];
        expect(what, found, wanted)?;
    }
    Ok(())
}

pub fn random_loss() -> Result<(), Failed> {
    let mut bed = Bed::open(1)?;
    let clock = Clock::start();
    let sender = bed.left.udp(LEFT.into(), 1)?;
    let receiver = bed
        .right
        .router
        .run(|| Socket::probe((RIGHT, 2).into()))??;
    sender.send_to(b"x", (RIGHT, 2))?;
    expect(
        "delivered",
        receive(&receiver, &mut [0; 8])?.is_some(),
        true,
    )?;
    let loss = |millionths| Fault {
        member: bed.left.members[0],
        direction: Direction::Out,
        pattern: Pattern::Random(millionths),
    };
    for (millionths, few, many) in [(300_000, 1000, 1800), (1_000_000, 0, 0), (0, 2000, 2000)] {
        set_faults(&mut bed.left.netlink, &[loss(millionths)])?;
        let mut arrived = 0;
        for _ in 0..2000 {
            sender.send_to(b"x", (RIGHT, 2))?;
            while receiver.receive(&clock, &mut [0; 8])?.is_some() {
                arrived += 1;
            }
        }
        while receive(&receiver, &mut [0; 8])?.is_some() {
            arrived += 1;
        }
        if !(few..=many).contains(&arrived) {
            return Err(
                format!("{millionths} millionths of loss: {arrived} of 2000 arrived").into(),
            );
        }
    }
    Ok(clear_faults(&mut bed.left.netlink, &[loss(1)])?)
}
