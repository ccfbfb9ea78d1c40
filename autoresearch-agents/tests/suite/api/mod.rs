//! Both vendors' proposers against servers on this machine that answer, refuse, stall and break in every documented way.

mod agentic;
mod checks;
mod faulty_runs;
mod fixture;
mod mock;
mod replies;
mod retries;
mod spending;
mod vendors;
mod waves;

pub use fixture::{Files, setup};
pub use vendors::INTERFACES;

/// A server whose every answer lowers the `X` of the prompt by one.
pub async fn descending_server(interface: vendors::Interface) -> mock::Mock {
    mock::Mock::start(move |seen| {
        let body = seen.body.to_string();
        let (_, rest) = body.split_once("const X: f64 = ").unwrap();
        let from = rest.split(';').next().unwrap();
        let to = from.parse::<f64>().unwrap() - 1.0;
        let text = fixture::answer(from, &format!("{to:?}"));
        mock::Act::stream(interface.text(&text, vendors::End::Complete, 10, 50))
    })
    .await
}
